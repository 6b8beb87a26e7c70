"""How commands end: exit codes, one line for a mistake, help that works."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from bistil_ray import __version__
from bistil_ray.cli.main import COMMANDS

Bistil = Callable[..., tuple[int, str, str]]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["no-such-command"], "no such command 'no-such-command'"),
        (["result"], "Did you mean 'results'?"),
        (["--no-such-flag"], "--no-such-flag"),
        (["results"], "missing argument"),
        (["results", "runs", "--sotr", "score"], "--sotr"),
        (["results", "no/such/run"], "'no/such/run'"),
        (["configs"], "missing command"),
        (["configs", "show", "no-such-config"], "'no-such-config'"),
        (["configs", "validate", "no-such-file.yaml"], "'no-such-file.yaml'"),
    ],
)
def test_a_mistake_ends_in_one_line_and_exit_code_2(bistil: Bistil, words: list[str], says: str) -> None:
    code, out, err = bistil(*words)
    assert code == 2
    assert out == ""
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert says in err


@pytest.mark.parametrize("words", [["--debug", "results", "nowhere"], ["results", "nowhere", "--debug"]])
def test_debug_shows_the_traceback_wherever_it_stands(bistil: Bistil, words: list[str]) -> None:
    code, _, err = bistil(*words)
    assert code == 2
    assert err.startswith("Traceback")
    assert err.splitlines()[-1].startswith("error: no run at 'nowhere'")


def test_an_interruption_ends_with_130_and_no_traceback(
    bistil: Bistil, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def interrupt(run: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("bistil_ray.results.records.read_records", interrupt)
    assert bistil("results", str(tmp_path)) == (130, "", "")


def test_no_words_at_all_show_the_help(bistil: Bistil) -> None:
    code, out, _ = bistil()
    assert code == 0
    for name in COMMANDS:
        assert re.search(rf"^  {name} ", out, re.MULTILINE)


def test_version(bistil: Bistil) -> None:
    assert bistil("--version") == (0, f"bistil-ray {__version__}\n", "")


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_each_command_ends_with_an_example_on_one_line_whose_flags_it_knows(
    bistil: Bistil, name: str
) -> None:
    code, out, _ = bistil(name, "--help")
    assert code == 0
    example = out.rstrip().splitlines()[-1].strip()
    assert example.startswith(f"Example: bistil-ray {name} ")
    for flag in re.findall(r"--[a-z][a-z-]*", example):
        assert re.search(rf"^ .*{flag}\b", out[: out.index("Example: ")], re.MULTILINE), flag
