"""Steps of real runs as they were carried out, and rates fitted on them: what a played sweep is held against."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from scipy.optimize import nnls  # type: ignore[import-untyped]

from bistil_ray.planning.plan import Plan
from bistil_ray.planning.step import Step
from bistil_ray.results.records import find_run, read_plan
from bistil_ray.storage import read_result

from .played import Fleet, play

Rate = Callable[[Step], float]
"""Seconds that a step takes."""


@dataclass(frozen=True)
class Seen:
    """A step of a real run, and when it was at work (seconds since the epoch)."""

    step: Step
    started: float
    finished: float

    @property
    def seconds(self) -> float:
        """How long it took."""
        return self.finished - self.started


def read_seen(run: str | Path) -> list[Seen]:
    """Read the finished steps of a run, in the order of its plan."""
    folder = find_run(run)
    seen = []
    for values in read_plan(folder) or []:
        step = Step(**{name: value for name, value in values.items() if name not in ("key", "title")})
        result = read_result(folder.parent / "steps" / step.key)
        seen.append(Seen(step, result["started"], result["finished"]))
    return seen


def fit(seen: Iterable[Seen]) -> Rate:
    """Fit seconds = a constant + FLOPs x a slope, neither below 0, for each kind of step; NaN for kinds not seen."""
    kinds: dict[str, list[Seen]] = defaultdict(list)
    for one in seen:
        kinds[one.step.kind].append(one)
    lines: dict[str, Any] = {}
    for kind, group in kinds.items():
        flops = np.array([one.step.flops for one in group])
        largest = max(flops.max(), 1.0)  # scaled, so that both columns are about 1
        constant, slope = nnls(np.column_stack([np.ones_like(flops), flops / largest]), [one.seconds for one in group])[
            0
        ]
        lines[kind] = constant, slope / largest
    nothing = math.nan, math.nan
    return lambda step: float(np.dot(lines.get(step.kind, nothing), (1.0, step.flops)))


def fleet_of(seen: Sequence[Seen]) -> Fleet:
    """Tell how many steps of a run were at work at once, and how long a step came after the last end before it."""
    changes = sorted([(one.started, 1) for one in seen] + [(one.finished, -1) for one in seen])
    ends = sorted(one.finished for one in seen)
    pauses = [min(one.started - end for end in ends if end <= one.started) for one in seen if one.started >= ends[0]]
    return Fleet(int(np.cumsum([change for _, change in changes]).max()), start=median(pauses) if pauses else 0.0)


def compare(runs: Sequence[Sequence[Seen]]) -> list[dict[str, Any]]:
    """Give for each run the real seconds from its first start to its last end, and the simulated ones.

    ``own``: with the seconds that its steps took; ``half``: by rates fitted on every other of its steps of a kind;
    ``others``: by the rates of each run given, NaN where that one lacks a kind.
    """
    rates, rows = [fit(seen) for seen in runs], []
    for seen in runs:
        plan, fleet = Plan(tuple(one.step for one in seen)), fleet_of(seen)
        took = {one.step.key: one.seconds for one in seen}
        half = fit(sorted(seen, key=lambda one: (one.step.kind, one.started))[::2])
        real = max(one.finished for one in seen) - min(one.started for one in seen)
        rows.append(
            {
                "steps": len(seen),
                "slots": fleet.slots,
                "real": real,
                "own": _wall(plan, fleet, lambda step, took=took: took[step.key]),  # type: ignore[misc]
                "half": _wall(plan, fleet, half),
                "others": [_wall(plan, fleet, rate) for rate in rates],
            }
        )
    return rows


def _wall(plan: Plan, fleet: Fleet, rate: Rate) -> float:
    seconds = {step.key: rate(step) for step in plan}
    return math.nan if any(map(math.isnan, seconds.values())) else play(plan, seconds, fleet).wall
