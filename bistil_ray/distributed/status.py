"""Where each step of a run stands, kept in ``status.json`` for those who look at the run from outside."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path

from ..storage import write_json

PAUSE_SECONDS = 1.0
PAUSE_SHARE = 19.0
"""Between two writings there is at least a second, and 19 times what the last one took: a twentieth of the time goes
into it at most, however many steps there are."""


class StatusFile:
    """The states of steps by key, each with the reason where one did not finish."""

    def __init__(self, path: Path, keys: Iterable[str], clock: Callable[[], float] = time.monotonic) -> None:
        """Let all steps wait; ``clock`` gives seconds."""
        self.states: dict[str, tuple[str, str]] = dict.fromkeys(keys, ("waiting", ""))
        self._path, self._clock = path, clock
        self._changed, self._due = True, 0.0

    def change(self, key: str, state: str, reason: str = "") -> None:
        """Take note of a step's new state."""
        self.states[key] = (state, reason)
        self._changed = True

    def write_if_due(self) -> None:
        """Write the file if something changed and the pause is over."""
        if self._changed and self._clock() >= self._due:
            self.write()

    def write(self) -> None:
        """Write the file."""
        began = self._clock()
        write_json(self._path, {key: {"state": state, "reason": why} for key, (state, why) in self.states.items()})
        ended = self._clock()
        self._changed, self._due = False, ended + max(PAUSE_SECONDS, PAUSE_SHARE * (ended - began))
