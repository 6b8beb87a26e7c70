"""What a configuration's sweep over many languages would take on so many GPUs, and what that assumes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import fmean

from bistil_ray.facts import Input, TeacherFacts
from bistil_ray.planning.plan import Plan
from bistil_ray.planning.step import Step

from ..made_up import make_up_plan
from .played import Fleet, play

TOKENS_PER_SENTENCE = 21
ASSUMED = {
    "tflops": (125.0, "TFLOP/s that a GPU sustains: 40 % of an A100's 312 in bf16"),
    "update_ms": (40.0, "least milliseconds of an optimiser step, however little there is to compute"),
    "sharing": (1.0, "steps that share a GPU, each of which computes so many times as slowly"),
    "start": (40.0, "seconds from handing out a step to its first work: processes, imports, models"),
    "packing": (900.0, "seconds to count and pack a pair of languages"),
    "scoring": (60.0, "seconds that a step measures its model"),
    "sentences": (14_000.0, "labelled sentences of the source language"),
    "losses": (1.0, "how often a day the machine of a GPU is taken away"),
    "replaced": (300.0, "seconds until there is another"),
}
"""What is assumed: defaults and what they are."""
Assumed = Mapping[str, float]


def plan_of(source: str, languages: int, densities: Sequence[float], sentences: float) -> Plan:
    """Plan a configuration's sweep over made-up inputs: one teacher of XLM-R base's shape, students of 6 layers."""
    model = Input("xlm-r", "xlm-r")
    teacher = TeacherFacts("xlm-r", model, model, 12, 768, 3072, 250_002, "xlm-roberta")
    settings = {"densities": densities, "layers": [6]}
    _, plan = make_up_plan(languages, [teacher], int(sentences * TOKENS_PER_SENTENCE), settings, source)
    return plan


def seconds_of(step: Step, assumed: Assumed) -> float:
    """Estimate the work of a step: FLOPs or optimiser steps, whichever takes longer, and measuring what came of it."""
    if step.kind == "pack":
        return assumed["packing"]
    in_labels = step.tokens / (TOKENS_PER_SENTENCE * step.settings.get("batch_size", 1))
    updates = step.settings.get("steps", in_labels)
    computing = step.flops / (assumed["tflops"] / assumed["sharing"] * 1e12)
    return assumed["scoring"] + max(computing, updates * assumed["update_ms"] / 1000)


def predict(plan: Plan, gpus: int, assumed: Assumed, plays: int) -> dict[str, float]:
    """Play a plan through on so many GPUs, a few times with other losses; give the means, all times in hours."""
    seconds = {step.key: seconds_of(step, assumed) for step in plan}
    between = 86_400 / assumed["losses"] if assumed["losses"] else math.inf
    fleet = Fleet(round(gpus * assumed["sharing"]), gpus, assumed["start"], between, assumed["replaced"])
    played = [play(plan, seconds, fleet, seed) for seed in range(plays)]

    def mean(name: str) -> float:
        return fmean(getattr(one, name) for one in played)

    times = {name: mean(name) / 3600 for name in ("wall", "critical_path")}
    of_gpus = {name: mean(name) / 3600 / assumed["sharing"] for name in ("paid", "lost")}
    return times | of_gpus | {name: mean(name) for name in ("utilisation", "losses", "unfinished")}
