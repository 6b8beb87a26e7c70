"""Which trackers there are, and telling each of them in a thread of its own, so that none holds up or stops a run."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from queue import SimpleQueue

from ..credentials import masked
from ..errors import ConfigError
from ..planning.step import Step
from ..settings import Tracking
from ..storage import append_line
from .finished import FinishedStep, read_finished
from .mlflow_runs import open_mlflow
from .tensorboard_events import write_events
from .wandb_runs import log_to_wandb

log = logging.getLogger(__name__)

PACKAGES = {"tensorboard": "tensorboardX", "mlflow": "mlflow", "wandb": "wandb"}
NOTHING_LEARNED = ("pack", "predict")
"""Kinds of steps that trackers are not told of: they have neither curves nor scores."""
PATIENCE = 120.0
"""Seconds that the end of a run waits for its trackers."""

Tell = Callable[[FinishedStep], None]


def check_trackers(tracking: Tracking) -> None:
    """Raise ConfigError, naming what to install, where a tracker's package is not there."""
    for name in tracking.to:
        if find_spec(PACKAGES[name]) is None:
            raise ConfigError(
                f"tracking.to names {name}, but the package {PACKAGES[name]} is not installed: "
                f"pip install 'bistil-ray[{name}]', or leave {name} out of tracking.to"
            )


class Trackers:
    """The trackers of a run. What one was told is listed in ``<run>/trackers/<name>.txt`` and not told again."""

    def __init__(self, tracking: Tracking, run: Path, bring: Callable[[str], None] = lambda step: None) -> None:
        """Start the threads; ``bring`` fetches what a step reported, by its key. ConfigError as of check_trackers."""
        check_trackers(tracking)
        project = tracking.project or run.name
        ways: dict[str, Callable[[], Tell]] = {
            "tensorboard": lambda: partial(write_events, folder=run / "tensorboard"),
            "mlflow": lambda: open_mlflow(tracking.mlflow_uri, project, run),
            "wandb": lambda: partial(log_to_wandb, project=project, run=run),
        }
        self._listeners = [_Listener(name, ways[name], run, bring) for name in tracking.to]

    def tell(self, steps: Iterable[Step]) -> None:
        """Tell of finished steps; returns at once."""
        for step in steps:
            if step.kind in NOTHING_LEARNED:
                continue
            for listener in self._listeners:
                listener.steps.put(step)

    def close(self, patience: float = PATIENCE) -> None:
        """Wait until everything is told, but no longer than ``patience`` seconds for each tracker."""
        for listener in self._listeners:
            listener.steps.put(None)
        for listener in self._listeners:
            listener.wait(patience)


class _Listener:
    """One tracker, in its own thread; after a failure it is told nothing more in this run."""

    def __init__(self, name: str, open_tracker: Callable[[], Tell], run: Path, bring: Callable[[str], None]) -> None:
        self.steps: SimpleQueue[Step | None] = SimpleQueue()
        self._name, self._open, self._run, self._bring = name, open_tracker, run, bring
        self._ledger = run / "trackers" / f"{name}.txt"
        self._thread = threading.Thread(target=self._listen, name=f"tracker-{name}", daemon=True)
        self._thread.start()

    def wait(self, patience: float) -> None:
        self._thread.join(patience)
        if self._thread.is_alive():
            self._warn(f"still busy after {patience:g} s")

    def _listen(self) -> None:
        told = set(self._ledger.read_text().split()) if self._ledger.exists() else set()
        tell: Tell | None = None
        try:
            while (step := self.steps.get()) is not None:
                if step.key in told:
                    continue
                tell = tell or self._open()
                self._bring(step.key)
                tell(read_finished(step, self._run.parent / "steps" / step.key, self._run.name))
                append_line(self._ledger, step.key)
        except Exception as problem:  # whatever a tracker raises, the run goes on
            self._warn(f"{type(problem).__name__}: {problem}")

    def _warn(self, why: str) -> None:
        log.warning(
            "%s", masked(f"{self._name} is told no more of this run ({why}); the same command again tells it the rest")
        )
