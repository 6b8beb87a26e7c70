"""What the commands for one step say while they work, where there is no terminal, and under --quiet."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bistil_ray.cli.console import working
from bistil_ray.cli.single import carry_out
from bistil_ray.planning.step import Step


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[Step]:
    """Two steps that report often and leave a file."""

    def run(steps: Sequence[Step], folder: Path, report: Callable[[Step, dict[str, Any]], None]) -> dict[str, Any]:
        for step in steps:
            for number in range(100):
                report(step, {"step": number, "tokens": number, "loss": 1.0})
            (folder / step.key).mkdir()
            (folder / step.key / "weights").touch()
        return {step.key: {"tokens": 99} for step in steps}

    monkeypatch.setattr("bistil_ray.steps.local.run_here", run)
    return [Step(kind, {}, {}, {}, "abc", {"lang": "sw"}, tokens=100) for kind in ("pack", "distil")]


def test_a_line_for_each_step_and_not_for_each_report(
    steps: list[Step], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    results = carry_out(steps, out, steps[1].key)
    said = capsys.readouterr()
    assert said.out == ""
    assert [line.rpartition(" in ")[0] for line in said.err.splitlines()] == [
        "[1/2] pack sw: done",
        "[2/2] distil sw: done",
        "",
    ]
    assert said.err.endswith(f"Written to {out}\n")
    assert results.keys() == {step.key for step in steps} and (out / "weights").exists()


def test_quiet_says_nothing(steps: list[Step], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    carry_out(steps, tmp_path / "out", steps[1].key, quiet=True)
    with working("Scoring", quiet=True) as say:
        say("half way")
    assert capsys.readouterr() == ("", "")


def test_other_work_is_said_now_and_then_and_not_at_every_turn(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with working("Reading") as say:
        say("what is quick needs no words")
    assert capsys.readouterr() == ("", "")
    seconds = itertools.count()
    monkeypatch.setattr("bistil_ray.cli.console.time", SimpleNamespace(monotonic=lambda: next(seconds)))
    with working("Reading") as say:
        for number in range(100):
            say(f"{number} rows [red]")
    lines = capsys.readouterr().err.splitlines()
    assert 4 <= len(lines) <= 7 and lines[0] == "15 rows [red]"
