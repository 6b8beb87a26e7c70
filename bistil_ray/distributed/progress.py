"""What a person sees while steps run: what is running, how far, the best so far, how long still."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from ..planning.plan import Plan
from ..planning.step import Step
from ..terminal import visible

if TYPE_CHECKING:
    from .slot import Slot

PLAIN_SECONDS = 15
MOST_PLAIN_SECONDS = 600
PLAIN_SHARE = 0.05
"""Where there is no terminal, lines are so far apart: this share of the time gone by, within the two bounds above."""
LEAST_SHARE = 0.02
"""No estimate of the remaining time is given before this share of the work is done."""
WEIGHT_OF_A_STEP = 2e10
"""FLOPs a step of no training counts for in the estimate of the remaining time: about its fixed cost on a core."""
BAR_WIDTH = 60


@dataclass
class Running:
    """A step that is running: since when, its last figures, the tokens of each of its phases."""

    step: Step
    began: float
    metrics: dict[str, Any] = field(default_factory=dict)
    tokens: dict[str, int] = field(default_factory=dict)

    def take(self, metrics: dict[str, Any]) -> None:
        """Take note of what the step reported."""
        self.metrics.update(metrics)
        if "loss" in metrics:
            self.tokens[str(metrics.get("phase", ""))] = int(metrics.get("tokens", 0))

    @property
    def share(self) -> float:
        """Share of the step's planned tokens that it has trained on."""
        return min(1.0, sum(self.tokens.values()) / self.step.tokens) if self.step.tokens else 0.0


class Board:
    """Shows the progress of steps: a live table on a terminal, plain lines elsewhere."""

    def __init__(self, console: Console, quiet: bool = False, clock: Callable[[], float] = time.monotonic) -> None:
        """Write to ``console``; ``quiet`` shows only what failed. ``clock`` gives seconds."""
        # Pinned to where it writes now: stdout is redirected while Tune runs.
        console.file = console.file
        self._console, self._quiet, self._clock = console, quiet, clock
        self._live: Live | None = None
        self._running: dict[str, Running] = {}
        self._finished = self._total = 0
        self._weight_done = self._weight_all = 0.0
        self._best: dict[str, float] = {}
        self._reasons: set[str] = set()
        self._began = self._spoke = clock()

    def begin(self, plan: Plan | Sequence[Step], done: Collection[str]) -> None:
        """Start showing ``plan``, of which ``done`` was finished earlier."""
        self._total, self._finished = len(plan), len(done)
        left = [step for step in plan if step.key not in set(done)]
        self._weight_all = sum(_weight(step) for step in left)
        self._began = self._clock()
        if done:
            self._say(f"{len(done)} of {len(plan)} steps were finished earlier and are not repeated")
        if self._console.is_terminal and not self._quiet and left:
            self._live = Live(
                console=self._console, get_renderable=self._view, refresh_per_second=4, transient=True, screen=False
            )
            self._live.start()

    def placed(self, slot: Slot, parallel: int) -> None:
        """Say where steps run."""
        device = f"{slot.gpus:g} GPU" if slot.gpus else f"{slot.cpus:g} CPU"
        how = "Ray Train" if slot.launcher == "train" else "in the trial's process"
        self._say(f"{parallel} at a time, {slot.workers} worker(s) each, {device} a worker, {how}")

    def changed(self, step: Step, state: str, reason: str = "") -> None:
        """Take note of a step's new state."""
        now = self._clock()
        if state == "running":
            self._running[step.key] = Running(step, now)
            if reason and reason not in self._reasons:
                self._reasons.add(reason)
                self._say(f"{step.title}: {reason}")
            return
        if state == "waiting":
            self._running.pop(step.key, None)
            self._say(f"{step.title}: waiting ({reason})")
            return
        ended = self._running.pop(step.key, None) or Running(step, now)
        self._finished += 1
        self._weight_done += _weight(step)
        words = f"[{self._finished}/{self._total}] {step.title}: {state}"
        if state != "done":
            self._say(f"{words} ({reason})", always=True)
            return
        score = ended.metrics.get("score")
        if score is not None and step.kind == "finetune":
            lang = str(step.about.get("lang"))
            self._best[lang] = max(score, self._best.get(lang, score))
        reached = "" if score is None else f", {ended.metrics.get('metric', 'score')} {score:.3f}"
        self._say(f"{words} in {_clock(now - ended.began)}{reached}")

    def reported(self, key: str, metrics: dict[str, Any]) -> None:
        """Take note of a running step's figures."""
        if key in self._running:
            self._running[key].take(metrics)
        self.tick()

    def tick(self) -> None:
        """Say where things stand if it is time: a terminal shows it all along, elsewhere lines come now and then."""
        now = self._clock()
        pause = min(max(PLAIN_SECONDS, PLAIN_SHARE * (now - self._began)), MOST_PLAIN_SECONDS)
        if self._live is None and not self._quiet and now - self._spoke > pause:
            for running in self._running.values():
                self._say(f"  {running.step.title}: {_figures(running)} ({_clock(now - running.began)})")
            self._say(f"  {self._finished} of {self._total} steps, {self._remaining()}")

    def end(self) -> None:
        """Take the live view down."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _say(self, words: str, always: bool = False) -> None:
        self._spoke = self._clock()
        if not self._quiet or always:
            self._console.print(Text(visible(words)))

    def _remaining(self) -> str:
        """Estimate the time left from the work done so far, what is running counted by its tokens."""
        running = list(self._running.values())
        done = self._weight_done + sum(_weight(step.step) * step.share for step in running)
        if done < LEAST_SHARE * self._weight_all:
            return "time left not known yet"
        return f"about {_clock((self._clock() - self._began) * (self._weight_all - done) / done)} left"

    def _view(self) -> Group:
        # Called by the live view's own thread as well.
        now, running = self._clock(), list(self._running.values())
        head = Text(f"{self._finished} of {self._total} steps, {self._remaining()}", style="bold")
        bar = ProgressBar(
            total=max(1.0, self._weight_all or 1.0),
            completed=self._weight_done + sum(_weight(step.step) * step.share for step in running),
            width=min(BAR_WIDTH, self._console.width),
        )
        table = Table.grid(padding=(0, 2))
        for step in running:
            table.add_row(Text(visible(step.step.title)), _clock(now - step.began), _figures(step))
        best = Text("  ".join(f"best {lang} {score:.3f}" for lang, score in list(self._best.items())), style="green")
        return Group(head, bar, table, best)


def _weight(step: Step) -> float:
    return step.flops + WEIGHT_OF_A_STEP


def _figures(running: Running) -> str:
    """Say how far a step is: tokens of how many, loss, bits per character; nothing of one that trains nothing."""
    metrics, shown = running.metrics, []
    if "tokens" in metrics:
        trained = sum(running.tokens.values()) or metrics["tokens"]
        # Plans estimate the tokens of labelled data: what goes past them is no share of them.
        planned = f" of {running.step.tokens:,}" if trained <= running.step.tokens else ""
        shown.append(f"{trained:,}{planned} tokens")
    if "loss" in metrics:
        shown.append(f"loss {metrics['loss']:.4f}")
    if "bits_per_character" in metrics:
        shown.append(f"{metrics['bits_per_character']:.3f} bits/char")
    return ", ".join(shown) or ("starting" if running.step.tokens else "at work")


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
