"""Which students can learn from one forward pass of their teacher: those that see the same batches."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping
from typing import Any

from .step import Step

LEAST_MASK = 0.15
"""A masked language model needs something to predict, even where distillation corrupts nothing."""


def corrupted_share(settings: Mapping[str, Any]) -> float:
    """Give the share of tokens that a ``distil`` step corrupts."""
    predicts = settings["objective"] != "states" or settings["logit_weight"] or settings["label_weight"]
    return float(max(settings["mask"], LEAST_MASK) if predicts else settings["mask"])


def companions(plan: Iterable[Step]) -> dict[str, list[Step]]:
    """Give, by key, the students that see a student's batches, itself among them; none for one that has no others.

    They are of one teacher, languages and seed; depth, width and recipe may differ.
    """
    groups: dict[Hashable, list[Step]] = defaultdict(list)
    for step in plan:
        if step.kind == "distil" and "student" not in step.inputs and step.settings["objective"] != "masked-lm":
            groups[_seen_by(step)].append(step)
    return {step.key: group for group in groups.values() if len(group) > 1 for step in group}


def _seen_by(step: Step) -> Hashable:
    """What decides a student's batches and its teacher's words; all else that does is the same in a whole run."""
    read = (*step.inputs.items(), *step.needs.items())
    return read, step.settings["seed"], corrupted_share(step.settings)
