"""No sweep waits for ever: what happens when its steps find no room, as its cluster lost nodes and no others come."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from ray.tune import Stopper

from .feed import Unstored
from .launch import NO_ROOM


class Room(Unstored, Stopper):
    """Ends a sweep when for so many ``seconds`` steps were handed out and none of them had a process.

    ``give_up(reason)`` is told then, once. Workers of a step that runs are waited for by Ray Train, as long.
    """

    def __init__(
        self, give_up: Callable[[str], None], seconds: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Let ``clock`` give seconds."""
        self._give_up, self._seconds, self._clock = give_up, seconds, clock
        self._running: set[str] = set()
        self._none_since: float | None = None
        self._given_up = False

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:  # noqa: ANN401
        """Take note of a trial that has its process."""
        self._running.add(trial.trial_id)

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:  # noqa: ANN401
        """Take note of a trial that has ended."""
        self._running.discard(trial.trial_id)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:  # noqa: ANN401
        """Take note of a trial that has lost its process."""
        self._running.discard(trial.trial_id)

    def on_step_begin(self, iteration: int, trials: list[Any], **info: Any) -> None:  # noqa: ANN401
        """Give up where nothing has run for too long; Tune calls this in every turn of its loop."""
        if self._running or self._given_up:
            self._none_since = None
        elif self._none_since is None:
            self._none_since = self._clock()
        elif self._clock() - self._none_since > self._seconds:
            self._given_up = True
            self._give_up(f"no node had room for it in {self._seconds:g} seconds: {NO_ROOM}")

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Stop no trial because of what it reports."""
        return False

    def stop_all(self) -> bool:
        """Tell Tune whether to end."""
        return self._given_up
