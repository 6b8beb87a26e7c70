"""What is said while steps run: tokens, loss and the time left, now and then where there is no terminal."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from bistil_ray.distributed.progress import Board
from bistil_ray.planning.step import Step


def make_step(name: str, tokens: int = 1000) -> Step:
    return Step("finetune", {}, {}, {}, name, {"lang": name}, tokens=tokens, flops=1e12)


class Watched:
    """A board on paper, and the clock it looks at."""

    def __init__(self, quiet: bool = False, terminal: bool = False) -> None:
        self.seconds, self._paper = 0.0, io.StringIO()
        console = Console(file=self._paper, width=60 if terminal else 200, force_terminal=terminal)
        self.board = Board(console, quiet, clock=lambda: self.seconds)
        self.steps = [make_step("sw"), make_step("yo")]
        self.board.begin(self.steps, [])
        self.board.changed(self.steps[0], "running")

    def after(self, seconds: float, **metrics: Any) -> str:
        """What is said when the first step reports so many seconds later."""
        self.seconds += seconds
        written = len(self.text)
        self.board.reported(self.steps[0].key, metrics)
        return self.text[written:]

    @property
    def text(self) -> str:
        return self._paper.getvalue()


def test_lines_come_at_intervals_however_often_steps_report() -> None:
    watched = Watched()
    assert [bool(watched.after(1, tokens=n, loss=1.0)) for n in range(40)].count(True) == 2
    said = watched.after(10, tokens=250, loss=0.5)
    assert said.splitlines()[0] == "  finetune sw: 250 of 1,000 tokens, loss 0.5000 (50 s)"


@pytest.mark.parametrize(("tokens", "says"), [(1000, "starting"), (0, "at work")])
def test_a_step_of_which_nothing_is_known_yet_starts_or_if_it_trains_nothing_is_at_work(tokens: int, says: str) -> None:
    watched = Watched()
    watched.board.changed(step := make_step("ha", tokens), "running")
    assert f"  {step.title}: {says} (16 s)" in watched.after(16)


def test_the_longer_it_takes_the_rarer_the_lines() -> None:
    watched = Watched()
    watched.after(36_000, tokens=1, loss=1.0)
    assert watched.after(500, tokens=2, loss=1.0) == ""
    assert watched.after(200, tokens=3, loss=1.0) != ""


def test_the_time_left_counts_what_is_running_and_both_phases_of_it() -> None:
    watched = Watched()
    watched.after(10, tokens=400, loss=1.0, phase="dense")
    said = watched.after(10, tokens=100, loss=1.0, phase="sparse")
    assert "500 of 1,000 tokens" in said
    # A quarter of two equal steps took 20 seconds.
    assert "0 of 2 steps, about 1 min 0 s left" in said


def test_an_end_is_said_at_once_with_its_score_and_a_failure_with_its_reason() -> None:
    watched = Watched()
    watched.after(3, tokens=1000, score=0.4567, metric="f1")
    watched.board.changed(watched.steps[0], "done")
    watched.board.changed(watched.steps[1], "failed", "no text")
    assert watched.text.splitlines() == [
        "[1/2] finetune sw: done in 3 s, f1 0.457",
        "[2/2] finetune yo: failed (no text)",
    ]


def test_a_step_whose_process_was_lost_is_not_counted_until_it_ends() -> None:
    watched = Watched()
    watched.board.changed(watched.steps[0], "waiting", "its process was lost")
    assert "finetune sw: waiting (its process was lost)" in watched.text
    watched.board.changed(watched.steps[0], "running")
    watched.board.changed(watched.steps[0], "done")
    assert "[1/2] finetune sw: done" in watched.text


def test_quiet_says_only_what_failed() -> None:
    watched = Watched(quiet=True)
    watched.after(100, tokens=1, loss=1.0)
    watched.board.changed(watched.steps[0], "done")
    watched.board.changed(watched.steps[1], "failed", "no text")
    assert watched.text == "[2/2] finetune yo: failed (no text)\n"


@pytest.mark.parametrize("terminal", [False, True])
def test_only_a_terminal_gets_control_characters(terminal: bool) -> None:
    watched = Watched(terminal=terminal)
    watched.after(20, tokens=5, loss=1.0)
    watched.board.end()
    assert ("\x1b[" in watched.text) == terminal


def test_why_steps_share_a_gpu_is_said_once() -> None:
    paper = io.StringIO()
    board = Board(Console(file=paper, width=200))
    steps = [Step("distil", {}, {}, {}, name, {"lang": name}) for name in ("sw", "ha", "yo")]
    board.begin(steps, [])
    board.changed(steps[0], "running")
    for step in steps[1:]:
        board.changed(step, "running", "steps like it take 9.3 of a GPU's 80 GB, so 7 share one")
    assert paper.getvalue() == "distil ha: steps like it take 9.3 of a GPU's 80 GB, so 7 share one\n"
