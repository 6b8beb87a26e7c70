"""Which share of a GPU a trial gets: all of one, until a step of its sort has told what memory that takes."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, NamedTuple

from ..planning.step import Step

BESIDE = 0.7e9
"""Bytes that CUDA and its libraries take in each process, which torch does not count."""
USABLE = 0.9
"""Share of a GPU's memory that is dealt out: what is free lies in pieces, and languages differ in vocabulary."""
EARLY = 1.5
"""How many times what it takes at first a step is expected to take later: longer batches, measuring."""
MOST = 8
"""More processes than these take turns rather than fill what one leaves idle."""
PARTS = 10_000
"""Ray deals out ten-thousandths of a GPU."""
OF_NO_ACCOUNT = {"lang", "density", "seed"}
"""What tells steps of one sort apart, which take about the same memory."""


class Share(NamedTuple):
    """How much of a GPU a trial holds, and why it is not all of one."""

    gpus: float
    reason: str = ""


class GpuRoom:
    """Deals out the GPUs of a cluster: trials get ``share`` of one, or what their memory is measured to need.

    Without a ``share`` the first trial of a sort (kind, teacher, recipe, shape, number of steps in the process) has a
    GPU to itself. When it has trained for a moment, and again when it has ended, it is known what memory that takes;
    then as many share a GPU as there is room for, and no more than ``most``. A pack needs none.
    """

    def __init__(self, gpus: float, share: float | None = None, most: int = MOST) -> None:
        """Deal out so many ``gpus``, all of them alike."""
        self._gpus, self._fixed, self._most = gpus, share, most
        self._bytes: dict[Hashable, float] = {}
        self._expected: dict[Hashable, float] = {}
        self._whole = float("inf")
        self._trials: dict[str, tuple[Hashable, float]] = {}

    def take(self, trial_id: str, steps: Sequence[Step], alone: bool = False) -> Share | None:
        """Give a trial of ``steps`` its share, all of a GPU if it is to be ``alone``; None while there is no room."""
        share = self._share_of(steps, alone)
        taken = sum(gpus for _, gpus in self._trials.values())
        if taken + share.gpus > self._gpus + 1 / PARTS:
            return None
        self._trials[trial_id] = sort_of(steps), share.gpus
        return share

    def awaits(self, steps: Sequence[Step]) -> bool:
        """Tell whether steps that train had better wait, since the first of their sort is about to tell its memory."""
        sort = sort_of(steps)
        running = {sort for sort, _ in self._trials.values()}
        return bool(steps[0].runtime) and self._fixed is None and self._memory_of(sort) is None and sort in running

    def leave(self, trial_id: str) -> None:
        """Take a trial's share back."""
        self._trials.pop(trial_id, None)

    def shares(self, trial_id: str) -> bool:
        """Tell whether a trial shares its GPU with others because of what was measured."""
        return self._fixed is None and 0 < self._trials.get(trial_id, ("", 0.0))[1] < 1

    def expect(self, steps: Sequence[Step], figures: Mapping[str, Any]) -> None:
        """Take note of what a trial of ``steps`` reports of its GPU's memory while it trains."""
        if "device_memory" in figures and "loss" in figures:
            self._expected[sort_of(steps)] = EARLY * float(figures["device_memory"])
            self._whole = min(self._whole, float(figures["device_memory_total"]))

    def learn(self, steps: Sequence[Step], figures: Mapping[str, Any]) -> None:
        """Take note of what a trial of ``steps`` that ended took of its GPU's memory, if it says so."""
        if "device_memory" in figures:
            sort = sort_of(steps)
            self._bytes[sort] = max(self._bytes.get(sort, 0.0), float(figures["device_memory"]))
            self._whole = min(self._whole, float(figures["device_memory_total"]))

    def _share_of(self, steps: Sequence[Step], alone: bool) -> Share:
        if not steps[0].loads_model:
            return Share(0.0)
        if self._fixed is not None:
            return Share(self._fixed)
        taken = self._memory_of(sort_of(steps))
        if alone or taken is None:
            return Share(1.0)
        together = min(self._most, int(USABLE * self._whole / (taken + BESIDE)))
        if together <= 1:
            return Share(1.0)
        reason = f"steps like it take {taken / 1e9:.1f} of a GPU's {self._whole / 1e9:.0f} GB, so {together} share one"
        return Share(PARTS // together / PARTS, reason)

    def _memory_of(self, sort: Hashable) -> float | None:
        return self._bytes.get(sort, self._expected.get(sort))


def sort_of(steps: Sequence[Step]) -> Hashable:
    """Name the sort of some steps of one trial: what it takes of a GPU others of that sort take too."""
    first = steps[0]
    facts = sorted((name, str(value)) for name, value in first.about.items() if name not in OF_NO_ACCOUNT)
    return first.kind, len(steps), *facts
