"""Early stopping by successive halving: which of the students that compete train on, and up to which step.

Students of a group train to the same step, save and make room. When all of them have come there, the best part goes on
to the next such step, and the others are given up (Jamieson and Talwalkar 2016). So it does not matter in which order
they are named or run.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from typing import Any, NamedTuple

from ..settings import Pruning
from .step import Step

Group = tuple[Any, ...]


class Verdict(NamedTuple):
    """What becomes of a student that was compared with the others: it trains on, or not, and why."""

    key: str
    goes_on: bool
    reason: str


def examined_at(settings: Mapping[str, Any]) -> list[int]:
    """Give the optimiser steps after which a student is measured, evenly spaced, the last one included."""
    steps, times = settings["steps"], settings["evaluations"]
    return sorted({steps * turn // times for turn in range(1, times + 1)} - {0})


def competes(step: Step) -> bool:
    """Tell whether a step trains a student that can be measured on its way, in phase 1 or of several teachers."""
    return step.kind in ("distil", "merge") and "evaluations" in step.settings


class Halving:
    """The state of all competitions of a run: who is left, and with how many bits per character after which step.

    Students compete that differ in their teachers alone, these being of one shape too: bits per character say little
    across depths, widths and recipes, and seeds are there to be averaged.
    """

    def __init__(
        self,
        plan: Iterable[Step],
        pruning: Pruning,
        measured: Mapping[str, Mapping[int, float]] | None = None,
        done: Collection[str] = (),
    ) -> None:
        """Let the students of ``plan`` compete; ``measured`` are bits by step of what earlier runs have trained.

        Those that are ``done`` will tell no more than that.
        """
        self._bits: dict[str, dict[int, float]] = defaultdict(dict)
        self._bits |= {key: dict(bits) for key, bits in (measured or {}).items()}
        self._group_of: dict[str, Group] = {}
        self._left: dict[Group, set[str]] = defaultdict(set)
        self._looks: dict[Group, list[int]] = {}
        for step in filter(competes, plan):
            group = self._group_of[step.key] = _group(step)
            self._left[group].add(step.key)
            self._looks[group] = _looks(step.settings, pruning)
        self._reduction, self._done = pruning.reduction, frozenset(done)

    def known(self) -> list[Verdict]:
        """Give the verdicts that follow from what earlier runs have measured."""
        return [verdict for group in self._left for verdict in self._compare(group)]

    def pause_at(self, key: str) -> int | None:
        """Give the step at which a student is to be compared next; None if it trains to its end."""
        group = self._group_of.get(key)
        if group is None or len(self._left[group]) == 1 or not self._looks[group]:
            return None
        return self._looks[group][0]

    def awaits(self, key: str) -> bool:
        """Tell whether a student has come to its next comparison, maybe in an earlier run, and others have not."""
        return self.pause_at(key) in self._bits.get(key, ())

    def reached(self, key: str, bits: float) -> list[Verdict]:
        """Take note of a student that has come to the step of its ``pause_at``; give the verdicts, if all are there."""
        group = self._group_of[key]
        self._bits[key][self._looks[group][0]] = bits
        return self._compare(group)

    def leave(self, key: str) -> list[Verdict]:
        """Take note of a student that will come to no more steps; give the verdicts for those who waited for it."""
        group = self._group_of.get(key)
        if group is None or key not in self._left[group]:
            return []
        self._left[group].discard(key)
        return self._compare(group)

    def _compare(self, group: Group) -> list[Verdict]:
        """Compare at each look to which all have come; who goes on is told with the last verdict of it alone."""
        verdicts: dict[str, Verdict] = {}
        while self._looks[group]:
            at = self._looks[group][0]
            left = {key for key in self._left[group] if at in self._bits[key] or key not in self._done}
            if not left or any(at not in self._bits[key] for key in left):
                break
            ranked = sorted(left, key=lambda key: (self._bits[key][at], key))
            best = set(ranked[: max(1, len(ranked) // self._reduction)])
            lowest = self._bits[ranked[0]][at]
            for key in ranked:
                reason = f"{self._bits[key][at]:.2f} bits per character after {at} steps, the best {lowest:.2f}"
                verdicts[key] = Verdict(key, key in best, reason)
            self._left[group] = best
            del self._looks[group][0]
        return list(verdicts.values())


def _group(step: Step) -> Group:
    settings = (step.settings[name] for name in ("layers", "hidden", "seed", "steps", "evaluations"))
    # What a step costs tells the shape of its teacher, too.
    return step.kind, step.about.get("lang"), step.about.get("recipe"), *settings, step.flops


def _looks(settings: Mapping[str, Any], pruning: Pruning) -> list[int]:
    """Give the steps of all comparisons: at the first measure past each share of the training but the whole."""
    examined = examined_at(settings)
    looks, share = [], pruning.grace
    while share < 1:
        least = round(share * settings["steps"], 6)  # 0.2 x 3 is a little more than 0.6
        looks += [step for step in examined if step >= least][:1]
        share *= pruning.reduction
    return [step for step in dict.fromkeys(looks) if step < settings["steps"]]
