"""Tables on wide and narrow terminals and in pipes: columns go, words fold, figures stay whole; and JSON."""

from __future__ import annotations

import io
import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from bistil_ray.cli.console import print_json, print_table

COLUMNS = ("lang", "teacher", "score", "params", "latency")
ROWS = [("sw", "a-teacher-of-a-very-long-name", "0.832", "1,234.5 M", "12.5 ms"), ("yo", "small", "0.1", "1 M", "-")]
NUMBERS, SPARE = COLUMNS[2:], ("params", "latency")


def printed(width: int, spare: tuple[str, ...] = SPARE) -> str:
    console = Console(file=io.StringIO(), force_terminal=True, width=width, color_system=None)
    print_table(COLUMNS, ROWS, NUMBERS, console, spare)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_with_room_every_column_is_shown_and_nothing_is_said() -> None:
    lines = printed(80).splitlines()
    assert lines[0].split() == list(COLUMNS)
    assert len(lines) == 3


def test_without_room_columns_go_in_their_order_and_what_went_is_said() -> None:
    text = printed(44)
    assert text.splitlines()[0].split() == ["lang", "teacher", "score", "latency"]
    assert "Left out on this narrow terminal: params" in text
    assert "params, latency" in " ".join(printed(34).split())


@pytest.mark.parametrize("width", range(20, 90, 7))
def test_no_line_is_wider_than_the_terminal_and_no_figure_is_cut(width: int) -> None:
    text = printed(width)
    assert max(map(len, text.splitlines())) <= max(width, len("teacher: a-teacher-of-a-very-long-name"))
    assert "…" not in text and "0.832" in text
    shown = text.splitlines()[0]
    assert ("1,234.5 M" in text) == ("params" in shown or "params:" in text)


def test_where_not_even_the_least_fits_each_row_is_a_list() -> None:
    text = printed(20, spare=())
    assert "score: 0.832\nparams: 1,234.5 M\nlatency: 12.5 ms\n" in text


def test_json_has_the_letters_of_every_script_and_survives_names_that_are_no_text(
    capsys: pytest.CaptureFixture[str],
) -> None:
    data = {"lang": "Yorùbá አማርኛ 🌍", "folder": os.fsdecode(b"runs/\xff"), "said": "\x1b[31m\n", "score": [0.5, None]}
    print_json(data)
    out, err = capsys.readouterr()
    assert (json.loads(out), err) == (data, "")
    assert "Yorùbá አማርኛ 🌍" in out and "\x1b" not in out


@pytest.fixture
def on_terminal(make_run: Callable[..., Path], tmp_path: Path) -> Callable[..., str]:
    """A function giving what ``results`` of a run writes to a pseudo-terminal 80 columns wide."""
    run = make_run(tmp_path)

    def show(**variables: str) -> str:
        master, slave = pty.openpty()
        environment = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
        environment |= {"COLUMNS": "80", "TERM": "xterm-256color", **variables}
        command = [sys.executable, "-m", "bistil_ray.cli", "results", str(run), "--lang", "sw"]
        with subprocess.Popen(command, stdout=slave, stderr=slave, env=environment) as process:
            os.close(slave)
            text = b""
            while True:
                try:
                    read = os.read(master, 4096)
                except OSError:
                    break
                if not read:
                    break
                text += read
        os.close(master)
        assert process.returncode == 0
        return text.decode()

    return show


def test_a_terminal_gets_styles_that_fit_it_and_none_under_no_color(on_terminal: Callable[..., str]) -> None:
    styled, plain = on_terminal(), on_terminal(NO_COLOR="1")
    assert "\x1b[" in styled and "\x1b" not in plain
    assert max(map(len, plain.splitlines())) <= 80
