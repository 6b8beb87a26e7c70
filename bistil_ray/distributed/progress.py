"""What a person sees while a sweep runs: what is running, how far, the best so far, how long still."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from ray.tune import Callback
from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from ..planning.plan import Plan
from ..planning.step import Step
from .launch import Slot

PLAIN_SECONDS = 15
LEAST_SHARE = 0.02
"""No estimate of the remaining time is given before this share of the work is done."""
WEIGHT_OF_A_STEP = 2e10
"""FLOPs a step of no training counts for in the estimate of the remaining time: about its fixed cost on a core."""


class Board:
    """Shows a sweep's progress: a live table on a terminal, plain lines elsewhere."""

    def __init__(self, console: Console, quiet: bool = False) -> None:
        """Write to ``console``; ``quiet`` shows only what failed."""
        # Pinned to where it writes now: stdout is redirected while Tune runs.
        console.file = console.file
        self._console, self._quiet = console, quiet
        self._live: Live | None = None
        self._running: dict[str, tuple[Step, float, dict[str, Any]]] = {}
        self._finished = self._total = 0
        self._weight_done = self._weight_all = 0.0
        self._best: dict[str, tuple[float, str]] = {}
        self._began = self._spoke = time.monotonic()
        self._place = ""

    def begin(self, plan: Plan, done: Sequence[str]) -> None:
        """Start showing ``plan``, of which ``done`` was finished earlier."""
        self._total, self._finished = len(plan), len(done)
        left = [step for step in plan if step.key not in set(done)]
        self._weight_all = sum(_weight(step) for step in left)
        self._began = time.monotonic()
        if done:
            self._say(f"{len(done)} of {len(plan)} steps were finished earlier and are not repeated")
        if self._console.is_terminal and not self._quiet and left:
            self._live = Live(self._view(), console=self._console, refresh_per_second=4, transient=True)
            self._live.start()

    def placed(self, slot: Slot, parallel: int) -> None:
        """Say where steps run."""
        device = f"{slot.gpus:g} GPU" if slot.gpus else f"{slot.cpus:g} CPU"
        how = "Ray Train" if slot.launcher == "train" else "in the trial's process"
        self._place = f"{parallel} at a time, {slot.workers} worker(s) each, {device} a worker, {how}"
        self._say(self._place)

    def changed(self, step: Step, state: str, reason: str) -> None:
        """Take note of a step's new state."""
        if state == "running":
            self._running[step.key] = (step, time.monotonic(), {})
            self._refresh()
            return
        _, began, metrics = self._running.pop(step.key, (step, time.monotonic(), {}))
        self._finished += 1
        self._weight_done += _weight(step)
        words = f"[{self._finished}/{self._total}] {step.title}: {state}"
        if state == "done":
            score = metrics.get("score")
            words += f" in {time.monotonic() - began:.0f} s"
            if score is not None:
                words += f", {metrics.get('metric', 'score')} {score:.3f}"
                lang = str(step.about.get("lang"))
                if step.kind == "finetune" and score > self._best.get(lang, (-1.0, ""))[0]:
                    self._best[lang] = (score, step.title)
            self._say(words)
        else:
            self._say(f"{words} ({reason})", always=True)
        self._refresh()

    def reported(self, key: str, metrics: dict[str, Any]) -> None:
        """Take note of a running step's figures."""
        if key in self._running:
            self._running[key][2].update(metrics)
        self.tick()

    def tick(self) -> None:
        """Show where things stand: on a terminal at once, elsewhere as lines every quarter of a minute."""
        self._refresh()
        if self._live is None and not self._quiet and time.monotonic() - self._spoke > PLAIN_SECONDS:
            for step, began, seen in self._running.values():
                self._say(f"  {step.title}: {_figures(seen)} ({time.monotonic() - began:.0f} s)")
            self._say(f"  {self._finished} of {self._total} steps, {self._remaining()}")

    def end(self) -> None:
        """Take the live view down."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def tune_callback(self) -> Callback:
        """Give the Ray Tune callback that feeds this board."""
        return _Feed(self)

    def _say(self, words: str, always: bool = False) -> None:
        self._spoke = time.monotonic()
        if not self._quiet or always:
            self._console.print(words, markup=False, highlight=False)

    def _refresh(self) -> None:
        if self._live is not None:
            self._live.update(self._view())

    def _remaining(self) -> str:
        """Estimate the time left from the work done so far, what is running counted by its tokens."""
        done = self._weight_done + sum(
            _weight(step) * min(1.0, seen.get("tokens", 0) / step.tokens) if step.tokens else 0.0
            for step, _, seen in self._running.values()
        )
        if done < LEAST_SHARE * self._weight_all:
            return "time left not known yet"
        return f"about {_clock((time.monotonic() - self._began) * (self._weight_all - done) / done)} left"

    def _view(self) -> Group:
        head = Text(f"{self._finished} of {self._total} steps, {self._remaining()}", style="bold")
        table = Table.grid(padding=(0, 2))
        for step, began, metrics in self._running.values():
            table.add_row(step.title, f"{time.monotonic() - began:.0f} s", _figures(metrics))
        best = Text("  ".join(f"best {lang} {score:.3f}" for lang, (score, _) in self._best.items()), style="green")
        return Group(head, ProgressBar(total=max(1, self._total), completed=self._finished, width=60), table, best)


class _Feed(Callback):
    def __init__(self, board: Board) -> None:
        self._board = board

    def on_trial_result(
        self,
        iteration: int,
        trials: list[Any],
        trial: Any,  # noqa: ANN401
        result: dict[str, Any],
        **info: Any,  # noqa: ANN401
    ) -> None:
        self._board.reported(str(trial.config["step"]), result)

    def on_step_begin(self, iteration: int, trials: list[Any], **info: Any) -> None:  # noqa: ANN401
        self._board.tick()

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune stores its callbacks; what a terminal shows is not part of an experiment.


def _weight(step: Step) -> float:
    return step.flops + WEIGHT_OF_A_STEP


def _figures(metrics: dict[str, Any]) -> str:
    shown = []
    if "tokens" in metrics:
        shown.append(f"{metrics['tokens']:,} tokens")
    if "loss" in metrics:
        shown.append(f"loss {metrics['loss']:.4f}")
    if "bits_per_character" in metrics:
        shown.append(f"{metrics['bits_per_character']:.3f} bits/char")
    return ", ".join(shown) or "starting"


def _clock(seconds: float) -> str:
    minutes = int(seconds // 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min {int(seconds % 60)} s"
