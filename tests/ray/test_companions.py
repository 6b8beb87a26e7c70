"""Students that share a trial end each in its own way."""

from __future__ import annotations

from ray.tune.search import Searcher

from bistil_ray.distributed.searcher import StepSearcher
from bistil_ray.planning.plan import Plan
from bistil_ray.planning.step import Step
from tests.ray.told_steps import SW_PACK, Told, finish, step

DEEP, WIDE, TALL = (step("distil", name, pack=SW_PACK) for name in ("deep", "wide", "tall"))
DEEP_TUNED = step("finetune", "deep", student=DEEP)
STUDENTS = Plan((SW_PACK, DEEP, WIDE, TALL, DEEP_TUNED))
TOGETHER = {student.key: [DEEP, WIDE, TALL] for student in (DEEP, WIDE, TALL)}


def end(step: Step, state: str, **more: str) -> dict[str, str]:
    return {"step": step.key, "state": state, **more}


def test_companions_that_are_ready_share_a_trial_and_each_ends_in_its_own_way(told: Told) -> None:
    searcher = StepSearcher(STUDENTS, [SW_PACK.key, WIDE.key], told, TOGETHER)
    assert searcher.suggest("1") == {"step": DEEP.key, "beside": [TALL.key]}, "what is done stays done"
    assert searcher.unfinished == 3
    assert searcher.suggest("2") is None
    finish(searcher, "1", ends=[end(DEEP, "done"), end(TALL, "ended")])
    assert told[-2:] == [(DEEP.key, "done", ""), (TALL.key, "waiting", "saved when told to end")]
    assert searcher.suggest("2") == {"step": TALL.key}
    assert searcher.suggest("3") == {"step": DEEP_TUNED.key}
    finish(searcher, "2")
    finish(searcher, "3")
    assert searcher.suggest("4") == Searcher.FINISHED


def test_what_failed_beside_others_is_tried_again_by_itself(told: Told) -> None:
    searcher = StepSearcher(STUDENTS, [SW_PACK.key], told, TOGETHER)
    searcher.suggest("1")
    finish(searcher, "1", ends=[end(DEEP, "failed", error="oh"), end(WIDE, "failed", error="oh"), end(TALL, "done")])
    assert told[-1] == (TALL.key, "done", "")
    assert (DEEP.key, "waiting", "failed beside others (oh)") in told
    assert [searcher.suggest(trial) for trial in "23"] == [{"step": DEEP.key}, {"step": WIDE.key}]
    searcher.on_trial_complete("2", {"state": "failed", "error": "again"})
    assert (DEEP.key, "failed", "again") in told
    finish(searcher, "3")
    assert searcher.suggest("4") == Searcher.FINISHED


def test_companions_whose_process_was_lost_go_on_by_themselves(told: Told) -> None:
    searcher = StepSearcher(STUDENTS, [SW_PACK.key], told, TOGETHER)
    searcher.suggest("1")
    searcher.on_trial_complete("1", {"state": "running", "of": WIDE.key}, error=True)
    assert [searcher.suggest(trial) for trial in "234"] == [{"step": key} for key in (DEEP.key, WIDE.key, TALL.key)]
