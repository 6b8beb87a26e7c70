"""Early stopping by successive halving: which of the students that compete train on, and up to which step.

Students of a group train to the same step, save and make room. When all of them have come there, the best part goes on
to the next such step, and the others are given up (Jamieson and Talwalkar 2016). So it does not matter in which order
they are named or run.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
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


class Halving:
    """The state of all competitions of a run: who is left, who has come how far, with how many bits per character.

    Students compete that differ in their teachers alone: bits per character say little across shapes (layers, width)
    and recipes, and seeds are there to be averaged.
    """

    def __init__(self, plan: Iterable[Step], pruning: Pruning, finished: Mapping[str, float]) -> None:
        """Let the students of ``plan`` compete; ``finished`` are the bits of those that an earlier run has trained."""
        students = {step.key: step for step in plan if "evaluations" in step.settings}
        self._group_of = {key: _group(step) for key, step in students.items()}
        self._left: dict[Group, set[str]] = {}
        for key, group in self._group_of.items():
            self._left.setdefault(group, set()).add(key)
        self._looks = {key: _looks(step.settings, pruning) for key, step in students.items()}
        self._past = dict.fromkeys(self._left, 0)
        self._bits: dict[str, float] = {}
        self._finished = {key: bits for key, bits in finished.items() if key in students}
        self._reduction = pruning.reduction

    def pause_at(self, key: str) -> int | None:
        """Give the step at which a student is to be compared next; None if it trains to its end."""
        group = self._group_of.get(key)
        if group is None or len(self._left[group]) == 1:
            return None
        looks = self._looks[key][self._past[group] :]
        return looks[0] if looks else None

    def reached(self, key: str, bits: float) -> list[Verdict]:
        """Take note of a student that has come to the step of its ``pause_at``; give the verdicts, if all are there."""
        self._bits[key] = bits
        return self._compare(self._group_of[key])

    def leave(self, key: str) -> list[Verdict]:
        """Take note of a student that will come to no more steps; give the verdicts for those who waited for it."""
        group = self._group_of.get(key)
        if group is None or key not in self._left[group]:
            return []
        self._left[group].discard(key)
        return self._compare(group)

    def _compare(self, group: Group) -> list[Verdict]:
        left = self._left[group]
        bits = {key: self._finished.get(key, self._bits.get(key)) for key in left}
        known = {key: value for key, value in bits.items() if value is not None}
        if not known or len(known) < len(left):
            return []
        ranked = sorted(known, key=lambda key: (known[key], key))
        best = ranked[: max(1, len(ranked) // self._reduction)]
        self._left[group] = set(best)
        self._past[group] += 1
        verdicts = [
            Verdict(key, key in best, f"{known[key]:.2f} bits per character, the best {known[ranked[0]]:.2f}")
            for key in ranked
            if key not in self._finished
        ]
        for key in ranked:
            self._bits.pop(key, None)
        return verdicts


def _group(step: Step) -> Group:
    shape = (step.settings["layers"], step.settings["hidden"], step.settings["seed"])
    return step.kind, step.about.get("lang"), step.about.get("recipe"), *shape


def _looks(settings: Mapping[str, Any], pruning: Pruning) -> list[int]:
    """Give the steps of all comparisons: at the first measure past each share of the training but the whole."""
    examined = examined_at(settings)
    looks, share = [], pruning.grace
    while share < 1:
        least = round(share * settings["steps"], 6)  # 0.2 x 3 is a little more than 0.6
        looks += [step for step in examined if step >= least][:1]
        share *= pruning.reduction
    return [step for step in dict.fromkeys(looks) if step < settings["steps"]]
