"""Which students can learn from one forward pass of their teacher: those that see the same batches."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping
from typing import Any

from .step import Step

LEAST_MASK = 0.15
"""Where nothing is corrupted, and something has to be predicted."""


def corrupted_share(settings: Mapping[str, Any]) -> float:
    """Give the share of tokens that a ``distil`` step corrupts."""
    predicts = settings["objective"] in ("masked-lm", "distilmbert")
    predicts |= any(settings.get(name) for name in ("logit_weight", "label_weight"))
    return float(settings["mask"] or (LEAST_MASK if predicts else 0))


def companions(plan: Iterable[Step]) -> dict[str, list[Step]]:
    """Give, by key, the steps that see a step's batches, itself among them; none for one that has no others.

    In phase 1 they are students of one teacher, languages and seed; depth, width and recipe may differ. In phase 2 they
    are the densities of one student.
    """
    groups: dict[Hashable, list[Step]] = defaultdict(list)
    for step in plan:
        if step.kind == "distil" and "student" not in step.inputs and step.settings["objective"] != "masked-lm":
            groups[_seen_in_phase_1(step)].append(step)
        elif step.kind == "finetune":
            groups[_seen_in_phase_2(step)].append(step)
    return {step.key: group for group in groups.values() if len(group) > 1 for step in group}


def _seen_in_phase_1(step: Step) -> Hashable:
    """What decides a student's batches and its teacher's words; all else that does is the same in a whole run."""
    return *_read(step), step.settings["seed"], corrupted_share(step.settings)


def _seen_in_phase_2(step: Step) -> Hashable:
    """All but the density: students of two recipes are different ones, or differ in their settings."""
    return *_read(step), *((name, repr(value)) for name, value in step.settings.items() if name != "density")


def _read(step: Step) -> tuple[Hashable, ...]:
    return *step.inputs.items(), *step.needs.items()
