"""Any words after any command end in what was asked for or in one line; nothing that looks done is left behind."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from hypothesis import strategies as st

from bistil_ray.cli.main import make_app
from bistil_ray.storage import DONE

Each = Callable[..., None]
Run = Callable[..., Any]

PLACES = ("{teacher}", "{corpora}", "{task_data}", "{config}", "{run}", "{file}", "{new}", "{storage}")
WORDS = (
    "", " ", "sw", "en", "yo", "sw,yo", "en={teacher}", "en={teacher},sw={teacher}", "swahli", "ner", "qa", "chess",
    "bistil", "teacher", "0", "1", "2", "3", "-1", "0.5", "1e400", "nan", "9" * 5000, "64", "no/such/place", "a/b",
    "~nobody/x", ".", "-", "--", "x" * 300, "x" * 5000, "[/red]", "[red]", "{{}}", "%s", "\x1b[31m",
    "\udcff",
    "\u2028", "\u202e", "file://", "://", "hf://", "http://x", "s3://AKIA:SECRET@bucket/x", "a\nb", "sample",
    "DATE=O", "distil.steps=1", "distil.steps=", "packing.length=32", "nothing=1", "=", "a.b.c=1", "langs=[sw]",
    "name={{a: 1}}", "task=pos", "score", "latency_ms", "test", "text", "hf", "onnx", "hub", "jsonl", "auto",
)  # fmt: skip
words = st.sampled_from(WORDS + PLACES + PLACES) | st.text(max_size=6)


def commands(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], list[str], int]]:
    """Every command with its flags and the number of its arguments."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))
        else:
            flags = [flag for param in command.params if param.param_type_name == "option" for flag in param.opts]
            yield (*path, name), flags, sum(param.param_type_name == "argument" for param in command.params)


COMMANDS = list(commands(typer.main.get_command(make_app())))
# What a command cannot do without, so that not every case ends at the first thing that is missing.
GOOD = {
    "--teacher": "{teacher}", "--teachers": "{teacher}", "--student": "{teacher}", "--tokenizer": "{teacher}",
    "--corpora": "{corpora}", "--task-data": "{task_data}", "--lang": "sw", "--langs": "sw", "--out": "{new}",
    "--config": "{config}", "--storage": "{storage}", "--set": "packing.length=32",
}  # fmt: skip


@st.composite
def lines(draw: st.DrawFn, path: tuple[str, ...], flags: list[str], arguments: int) -> list[str]:
    """Words for a command: mostly what it needs, with anything added, changed and left out."""
    line: list[str] = list(path)
    line += [draw(st.sampled_from(PLACES) | words) for _ in range(draw(st.sampled_from([arguments] * 5 + [0, 2])))]
    if draw(st.integers(0, 4)):
        for flag in filter(GOOD.__contains__, flags):
            line += [flag, draw(words)] if not draw(st.integers(0, 5)) else [flag, GOOD[flag]]
    for flag in draw(st.lists(st.sampled_from([*flags, "--nothing", "-x"]), max_size=3)):
        line += [flag, *draw(st.lists(words, max_size=1))]
    return line


@pytest.fixture
def places(
    tmp_path: Path, toy_settings: dict[str, Any], bert_folder: Path, make_run: Callable[..., Path]
) -> dict[str, str]:
    """Good places to name in a command line."""
    config = tmp_path / "mine.yaml"
    config.write_text(yaml.safe_dump({**toy_settings, "layers": [2]}))
    (tmp_path / "file").write_text("text")
    return {
        "teacher": str(bert_folder), "corpora": toy_settings["corpora"], "task_data": toy_settings["task_data"],
        "config": str(config), "run": str(make_run(tmp_path / "made")), "file": str(tmp_path / "file"),
        "new": str(tmp_path / "new"), "storage": toy_settings["storage"],
    }  # fmt: skip


@pytest.fixture
def nothing_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the real work would start, a command has passed."""

    def passed(*given: object, **named: object) -> None:
        raise typer.Exit

    def no_cluster(*given: object, **named: object) -> None:
        raise ConnectionError("no cluster here")

    for name in (
        "distributed.sweep.run_sweep", "steps.local.run_here", "export.bench.cost_of", "export.package.package",
        "steps.pack.choose_vocabulary", "dashboard.server.Dashboard.serve_forever", "sample.generate.materialise",
    ):  # fmt: skip
        monkeypatch.setattr(f"bistil_ray.{name}", passed)
    monkeypatch.setattr("ray.init", no_cluster)


@pytest.mark.parametrize(("path", "flags", "arguments"), COMMANDS, ids=[" ".join(path) for path, *_ in COMMANDS])
def test_any_words(
    each: Each, ends_well: Run, nothing_long: None, places: dict[str, str], tmp_path: Path,
    path: tuple[str, ...], flags: list[str], arguments: int,
) -> None:  # fmt: skip
    def judge(line: list[str]) -> None:
        words = [place_in(word, places) for word in line]
        ended = ends_well(*words)
        assert "SECRET" not in ended.stdout + ended.stderr
        assert not [mark for mark in tmp_path.rglob(DONE) if "made" not in mark.parts]
        assert not (tmp_path / "new").exists() or not any((tmp_path / "new").rglob("*.safetensors"))
        for made in (tmp_path / "new", tmp_path / "runs"):
            shutil.rmtree(made, ignore_errors=True)

    each(lines(path, flags, arguments), judge, cases=60)


def place_in(word: str, places: dict[str, str]) -> str:
    """Fill the names of good places in; other braces stay."""
    for name, place in places.items():
        word = word.replace(f"{{{name}}}", place)
    return word.replace("{{", "{").replace("}}", "}")
