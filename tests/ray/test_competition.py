"""Students that compete are handed out up to the step of their comparison, however often the sweep is interrupted."""

from __future__ import annotations

import random
from collections import defaultdict
from typing import Any

import pytest
from ray.tune.search import Searcher

from bistil_ray.distributed.searcher import StepSearcher
from bistil_ray.distributed.slot import MODELS
from bistil_ray.planning.halving import Halving
from bistil_ray.planning.plan import Plan
from bistil_ray.planning.step import Step
from bistil_ray.settings import Pruning
from tests.ray.told_steps import Told

STEPS, EVERY = 1000, 200


def student(teacher: str) -> Step:
    settings = {"layers": 2, "hidden": 64, "seed": 0, "steps": STEPS, "evaluations": STEPS // EVERY}
    return Step("distil", settings, {}, {}, teacher, {"lang": "sw", "recipe": "bistil", "teacher": teacher})


def test_one_that_an_earlier_run_brought_to_the_comparison_waits_for_the_other(told: Told) -> None:
    first, second = plan = Plan((student("a"), student("b")))
    # It had come further: what it was measured at the comparison counts, not where it is now.
    earlier = {first.key: {200: 3.0, 400: 2.7, 600: 2.4}}
    searcher = StepSearcher(plan, [], told, halving=Halving(plan, Pruning(enabled=True), earlier))
    assert searcher.suggest("1") == {"step": second.key, "pause_at": 200}
    assert searcher.suggest("2") is None
    searcher.on_trial_complete("1", {"state": "paused", "bits_per_character": 2.8})
    assert told[-1] == (first.key, "pruned", "3.00 bits per character after 200 steps, the best 2.80")
    assert searcher.suggest("2") == {"step": second.key}


@pytest.mark.parametrize("seed", range(40))
def test_however_a_sweep_is_interrupted_the_same_students_are_left(seed: int) -> None:
    drawn = random.Random(seed)
    plan = Plan(tuple(map(student, "abcde"[: drawn.randint(2, 5)])))
    pruning = Pruning(enabled=True, grace=drawn.choice([0.2, 0.5]), reduction=drawn.choice([2, 3]))
    whole = carried_out(plan, pruning, drawn, [None])
    assert whole
    assert carried_out(plan, pruning, drawn, [drawn.randint(1, 30), drawn.randint(1, 30), None]) == whole


def carried_out(plan: Plan, pruning: Pruning, drawn: random.Random, runs: list[int | None]) -> set[str]:
    """Let students train in a drawn order, in runs of so many turns each, None to the end; give who was done."""
    measured: dict[str, dict[int, float]] = defaultdict(dict)
    done: list[str] = []
    for turns in runs:
        halving = Halving(plan, pruning, {key: dict(bits) for key, bits in measured.items()}, done)
        places = {MODELS: drawn.randint(1, 3)}
        searcher = StepSearcher(plan, done, lambda *_: None, places=places, halving=halving)
        running: dict[str, dict[str, Any]] = {}
        for turn in range(turns or 1000):
            handed = searcher.suggest(str(turn))
            if handed == Searcher.FINISHED:
                break
            if isinstance(handed, dict):
                running[str(turn)] = handed
            trial = drawn.choice(list(running))  # there is always one, or all would wait for ever
            key, stop = running[trial]["step"], running[trial].get("pause_at", STEPS)
            reached = min(stop, EVERY * (len(measured[key]) + 1))
            measured[key][reached] = 5.0 - reached / 500 + ord(key[-1])
            if reached == stop:
                del running[trial]
                done += [key] if stop == STEPS else []
                state = "done" if stop == STEPS else "paused"
                searcher.on_trial_complete(trial, {"state": state, "bits_per_character": measured[key][stop]})
    assert handed == Searcher.FINISHED
    return set(done)
