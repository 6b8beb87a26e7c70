"""The searcher walks the plan: needs come first, nothing comes twice, a loss costs only what depends on it."""

from __future__ import annotations

import pickle

from ray.tune.search import Searcher

from bistil_ray.distributed.searcher import LOSSES, StepSearcher
from bistil_ray.distributed.slot import MODELS
from bistil_ray.planning.plan import Plan
from tests.ray.told_steps import HA, HA_PACK, HA_TUNED, PLAN, SW, SW_PACK, SW_TUNED, Told, finish, step


def test_steps_come_in_the_order_of_the_plan_when_their_needs_are_done(told: Told) -> None:
    searcher = StepSearcher(PLAN, [], told)
    assert searcher.suggest("1") == {"step": SW_PACK.key}
    assert searcher.suggest("2") == {"step": HA_PACK.key}
    assert searcher.suggest("3") is None, "both students wait for their packs"
    finish(searcher, "2")
    assert searcher.suggest("3") == {"step": HA.key}
    assert searcher.suggest("4") is None
    finish(searcher, "1")
    assert searcher.suggest("4") == {"step": SW.key}
    for trial in "34":
        finish(searcher, trial)
    assert [searcher.suggest(trial) for trial in "56"] == [{"step": SW_TUNED.key}, {"step": HA_TUNED.key}]
    assert searcher.suggest("7") is None
    assert searcher.unfinished == 2
    for trial in "56":
        finish(searcher, trial)
    assert searcher.unfinished == 0
    assert searcher.suggest("7") == Searcher.FINISHED
    assert [key for key, state, _ in told if state == "running"] == [
        SW_PACK.key, HA_PACK.key, HA.key, SW.key, SW_TUNED.key, HA_TUNED.key,
    ]  # fmt: skip
    assert sum(state == "done" for _, state, _ in told) == len(PLAN)


def test_no_more_steps_run_than_there_are_places(told: Told) -> None:
    searcher = StepSearcher(PLAN, [], told, places={MODELS: 1})
    assert [searcher.suggest(trial) for trial in "12"] == [{"step": SW_PACK.key}, None]
    finish(searcher, "1")
    assert [searcher.suggest(trial) for trial in "23"] == [{"step": HA_PACK.key}, None], "packs take places of others"


def test_finished_steps_are_never_handed_out(told: Told) -> None:
    searcher = StepSearcher(PLAN, [SW_PACK.key, SW.key, HA_PACK.key, HA.key, HA_TUNED.key], told)
    assert searcher.suggest("1") == {"step": SW_TUNED.key}
    assert searcher.suggest("2") is None
    finish(searcher, "1")
    assert searcher.suggest("2") == Searcher.FINISHED


def test_what_needs_a_failed_step_is_skipped_and_the_rest_goes_on(told: Told) -> None:
    searcher = StepSearcher(PLAN, [HA_PACK.key], told)
    searcher.suggest("1")
    searcher.on_trial_complete("1", {"state": "failed", "error": "no room on the disk"})
    assert told[-3:] == [
        (SW_PACK.key, "failed", "no room on the disk"),
        (SW.key, "skipped", f"needs {SW_PACK.title}, which failed"),
        (SW_TUNED.key, "skipped", f"needs {SW.title}, which was skipped"),
    ]
    assert searcher.suggest("2") == {"step": HA.key}
    finish(searcher, "2")
    assert searcher.suggest("3") == {"step": HA_TUNED.key}
    finish(searcher, "3")
    assert searcher.suggest("4") == Searcher.FINISHED
    assert searcher.unfinished == 0


def test_a_step_whose_process_was_lost_is_handed_out_again(told: Told) -> None:
    searcher = StepSearcher(Plan((SW_PACK,)), [], told)
    assert searcher.suggest("1") == {"step": SW_PACK.key}
    assert searcher.suggest("2") is None, "the search is not over while a step may still be lost"
    searcher.on_trial_complete("1", {"state": "running", "tokens": 5}, error=True)
    assert told[-1] == (SW_PACK.key, "waiting", "its process was lost")
    assert searcher.suggest("2") == {"step": SW_PACK.key}
    finish(searcher, "2")
    assert searcher.suggest("3") == Searcher.FINISHED


def test_a_step_that_loses_every_process_fails(told: Told) -> None:
    searcher = StepSearcher(Plan((SW_PACK, SW)), [], told)
    for trial in range(LOSSES + 1):
        assert searcher.suggest(str(trial)) == {"step": SW_PACK.key}
        searcher.on_trial_complete(str(trial), None, error=True)
    assert (SW_PACK.key, "failed", f"its process was lost {LOSSES + 1} times without coming further") in told
    assert (SW.key, "skipped", f"needs {SW_PACK.title}, which failed") in told
    assert searcher.suggest("last") == Searcher.FINISHED


def test_a_step_that_comes_further_each_time_may_lose_its_process_ever_so_often(told: Told) -> None:
    searcher = StepSearcher(Plan((SW_PACK,)), [], told)
    for trial in range(5 * LOSSES):
        assert searcher.suggest(str(trial)) == {"step": SW_PACK.key}
        searcher.on_trial_result(str(trial), {"tokens": 100 + trial})
        searcher.on_trial_complete(str(trial), None, error=True)
    for trial in range(LOSSES):  # from the last checkpoint, and lost again before it is where it was
        assert searcher.suggest(f"back {trial}") == {"step": SW_PACK.key}
        searcher.on_trial_result(f"back {trial}", {"tokens": 99})
        searcher.on_trial_complete(f"back {trial}", None, error=True)
    assert told[-1][1] == "failed"


def test_a_step_that_was_told_to_end_waits_and_no_other_begins(told: Told) -> None:
    searcher = StepSearcher(PLAN, [], told)
    searcher.suggest("1")
    searcher.close()
    assert searcher.suggest("2") == Searcher.FINISHED
    searcher.on_trial_complete("1", {"state": "ended"})
    assert told[-1] == (SW_PACK.key, "waiting", "saved when told to end")
    assert searcher.suggest("2") == Searcher.FINISHED
    assert searcher.unfinished == len(PLAN)


def test_a_process_that_ends_after_it_told_how_its_step_ended_loses_nothing(told: Told) -> None:
    searcher = StepSearcher(Plan((SW_PACK,)), [], told)
    for trial in range(2 * LOSSES):  # one node after the other is taken back
        assert searcher.suggest(str(trial)) == {"step": SW_PACK.key}
        searcher.on_trial_result(str(trial), {"state": "ended"})
        searcher.on_trial_complete(str(trial), None, error=True)
        assert told[-1] == (SW_PACK.key, "waiting", "saved when told to end")
    searcher.suggest("last")
    searcher.on_trial_result("last", {"state": "done"})
    searcher.on_trial_complete("last", None, error=True)
    assert told[-1] == (SW_PACK.key, "done", "")


def test_a_trial_that_is_stopped_from_outside_is_handed_out_again(told: Told) -> None:
    searcher = StepSearcher(PLAN, [SW_PACK.key], told)
    searcher.suggest("1")
    searcher.suggest("2")
    searcher.on_trial_complete("2", {"state": "running", "tokens": 5})
    assert told[-1] == (SW.key, "waiting", "its trial was stopped")
    assert searcher.suggest("3") == {"step": SW.key}


def test_a_step_needed_twice_by_a_skipped_one_is_told_once(told: Told) -> None:
    both = step("finetune", "both", student=SW, pack=SW_PACK)
    searcher = StepSearcher(Plan((SW_PACK, SW, both)), [], told)
    searcher.suggest("1")
    searcher.on_trial_complete("1", {"state": "failed", "error": "oh"})
    assert [key for key, state, _ in told if state == "skipped"] in ([SW.key, both.key], [both.key, SW.key])


def test_strangers_are_nobodys_business(told: Told) -> None:
    StepSearcher(PLAN, [], told).on_trial_complete("never seen", {"state": "done"})
    assert told == []


def test_it_can_be_stored_while_the_terminal_it_tells_cannot() -> None:
    searcher = StepSearcher(PLAN, [SW_PACK.key], lambda step, state, reason: None)
    assert pickle.loads(pickle.dumps(searcher)).unfinished == len(PLAN) - 1
