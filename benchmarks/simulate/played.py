"""A sweep played through without doing its work: the product's own searcher hands steps to slots that may be lost."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import Literal

import numpy as np

from bistil_ray.distributed.searcher import StepSearcher
from bistil_ray.distributed.slot import MODELS, PACKS, place_for
from bistil_ray.planning.plan import Plan
from bistil_ray.planning.step import Step


@dataclass(frozen=True)
class Fleet:
    """So many places for one step each, and more for ``packs``, which are not paid for; all times in seconds.

    ``start`` passes before a step does anything; a slot at work is lost after ``between_losses`` on average, as a
    Poisson process, and there again after ``replaced``. Packs without places of their own take slots.
    """

    slots: int
    packs: int = 0
    start: float = 0.0
    between_losses: float = math.inf
    replaced: float = 0.0


@dataclass(frozen=True)
class Played:
    """What a sweep came to, in seconds, and in seconds of slots (``paid``, ``worked`` in them, ``lost``).

    ``critical_path`` is the longest chain of steps, below which no number of slots brings ``wall``; ``lost`` is work
    done again and waiting for another slot; ``unfinished`` steps lost their slot too often without coming
    further, or need one that did.
    """

    wall: float
    critical_path: float
    paid: float
    worked: float
    lost: float
    losses: int
    unfinished: int

    @property
    def utilisation(self) -> float:
        """Share of the slots' time that finished steps worked."""
        return self.worked / self.paid if self.paid else 0.0


End = Literal["done", "lost", "replaced"]


def play(plan: Plan, seconds: Mapping[str, float], fleet: Fleet, seed: int = 0) -> Played:
    """Carry out ``plan`` on ``fleet``; ``seconds`` of work by key. The same arguments give the same sweep.

    A step whose slot is lost goes on from its last checkpoint, every ``checkpoint_minutes`` of work, or from its start
    where it keeps none.
    """
    steps = {step.key: step for step in plan}
    left = {key: seconds[key] for key in steps}
    places = {MODELS: fleet.slots} | ({PACKS: fleet.packs} if fleet.packs else {})
    kinds = {key: place_for(step, places) for key, step in steps.items()}
    searcher = StepSearcher(plan, [], lambda step, state, reason: None, places=places)
    generator = np.random.default_rng(seed)
    events: list[tuple[float, int, End, str]] = []
    trials = losses = 0
    now = wall = worked = lost = 0.0
    while True:
        while isinstance(found := searcher.suggest(str(trials)), dict):
            key, until = found["step"], generator.exponential(fleet.between_losses)
            needed = fleet.start + left[key]
            end: End = "done" if until >= needed else "lost"
            heappush(events, (now + min(until, needed), trials, end, key))
            if end == "lost":
                kept = _kept(steps[key], until - fleet.start)
                left[key] -= kept
                lost += until - kept + fleet.replaced if kinds[key] == MODELS else 0.0
                losses += 1
            trials += 1
        if not events:
            break
        now, trial, end, key = heappop(events)
        if end == "replaced":
            places[kinds[key]] += 1
        elif end == "lost":
            places[kinds[key]] -= 1  # the searcher looks here for how many there are
            heappush(events, (now + fleet.replaced, trial, "replaced", key))
            searcher.on_trial_result(str(trial), {"tokens": seconds[key] - left[key]})
            searcher.on_trial_complete(str(trial), error=True)
        else:
            searcher.on_trial_complete(str(trial), {"state": "done"})
            wall, worked = now, worked + (seconds[key] if kinds[key] == MODELS else 0.0)
            del left[key]
    return Played(wall, critical_path(plan, seconds, fleet), fleet.slots * wall, worked, lost, losses, len(left))


def critical_path(plan: Plan, seconds: Mapping[str, float], fleet: Fleet) -> float:
    """Give the seconds of the longest chain of steps, each after those it needs."""
    ends: dict[str, float] = {}
    for step in plan:
        ends[step.key] = (
            max((ends[need] for need in step.needs.values()), default=0.0) + fleet.start + seconds[step.key]
        )
    return max(ends.values(), default=0.0)


def _kept(step: Step, worked: float) -> float:
    """Give the seconds of work that are not lost with a slot, whole intervals between checkpoints."""
    every = 60.0 * step.runtime.get("checkpoint_minutes", math.inf)
    return every * (worked // every) if worked > every else 0.0
