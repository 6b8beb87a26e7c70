"""Students that compete pause until all are there; the best goes on."""

from __future__ import annotations

import pytest
from ray.tune.search import Searcher

from bistil_ray.distributed.searcher import StepSearcher
from bistil_ray.distributed.slot import MODELS
from bistil_ray.planning.halving import Halving
from bistil_ray.planning.plan import Plan
from bistil_ray.planning.step import Step
from bistil_ray.settings import Pruning
from tests.ray.told_steps import SW_PACK, Told, finish, step


def rival(teacher: str) -> Step:
    settings = {"layers": 2, "hidden": 32, "seed": 0, "steps": 100, "evaluations": 10}
    return Step("distil", settings, {}, {"pack": SW_PACK.key}, teacher, {"lang": "sw", "teacher": teacher})


RIVALS = [rival(name) for name in "abc"]
RIVALS_TUNED = [step("finetune", rival.about["teacher"], student=rival) for rival in RIVALS]


@pytest.fixture
def racing(told: Told) -> StepSearcher:
    """A searcher of three students that compete, one at a time, their pack being done."""
    plan = Plan((SW_PACK, *RIVALS, *RIVALS_TUNED))
    halving = Halving(plan, Pruning(enabled=True))
    return StepSearcher(plan, [SW_PACK.key], told, places={MODELS: 1}, halving=halving)


def test_students_pause_until_all_are_there_and_the_best_goes_on(racing: StepSearcher, told: Told) -> None:
    first, second, third = RIVALS
    for trial, (student, bits) in enumerate(zip(RIVALS, (2.5, 1.5, 3.5), strict=True)):
        assert racing.suggest(str(trial)) == {"step": student.key, "pause_at": 20}
        racing.on_trial_complete(str(trial), {"state": "paused", "bits_per_character": bits})
        assert (student.key, "waiting", "saved, until the others that it is compared with are there") in told
    reason = "{} bits per character after 20 steps, the best 1.50"
    assert told[-4:] == [
        (first.key, "pruned", reason.format("2.50")),
        (RIVALS_TUNED[0].key, "pruned", f"needs {first.title}, which was pruned"),
        (third.key, "pruned", reason.format("3.50")),
        (RIVALS_TUNED[2].key, "pruned", f"needs {third.title}, which was pruned"),
    ]
    assert racing.suggest("on") == {"step": second.key}
    finish(racing, "on")
    assert racing.suggest("tune") == {"step": RIVALS_TUNED[1].key}
    finish(racing, "tune")
    assert racing.suggest("last") == Searcher.FINISHED


def test_a_student_that_fails_or_is_lost_holds_nobody_up(racing: StepSearcher, told: Told) -> None:
    first, second, third = RIVALS
    racing.suggest("0")
    racing.on_trial_complete("0", {"state": "paused", "bits_per_character": 2.5})
    racing.suggest("1")
    racing.on_trial_complete("1", {"state": "failed", "error": "oh"})
    racing.suggest("2")
    racing.on_trial_complete("2", None, error=True)
    assert told[-1] == (third.key, "waiting", "its process was lost")
    assert racing.suggest("3") == {"step": third.key, "pause_at": 20}
    racing.on_trial_complete("3", {"state": "paused", "bits_per_character": 1.5})
    assert [key for key, state, _ in told if state == "pruned"] == [first.key, RIVALS_TUNED[0].key]
    assert racing.suggest("4") == {"step": third.key}


def test_who_lost_in_an_earlier_run_is_not_trained_again(told: Told) -> None:
    first, second, third = RIVALS
    plan = Plan((SW_PACK, *RIVALS, *RIVALS_TUNED))
    measured = {first.key: {20: 2.5}, second.key: {20: 1.5, 100: 1.0}, third.key: {20: 3.5}}
    done = [SW_PACK.key, second.key, RIVALS_TUNED[2].key]  # the third was trained and tuned by itself once
    searcher = StepSearcher(plan, done, told, halving=Halving(plan, Pruning(enabled=True), measured))
    assert [key for key, state, _ in told if state == "pruned"] == [first.key, RIVALS_TUNED[0].key, third.key]
    assert searcher.suggest("1") == {"step": RIVALS_TUNED[1].key}
