"""The searcher walks the plan: needs come first, nothing comes twice, a loss costs only what depends on it."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
from ray.tune.search import Searcher

from bistil_ray.distributed.gpu_share import GpuRoom
from bistil_ray.distributed.searcher import LOSSES, MODELS, PACKS, StepSearcher
from bistil_ray.planning.halving import Halving
from bistil_ray.planning.plan import Plan
from bistil_ray.planning.step import Step
from bistil_ray.settings import Pruning


def step(kind: str, name: str, **needs: Step) -> Step:
    return Step(kind, {}, {}, {role: need.key for role, need in needs.items()}, name, {"lang": name})


SW_PACK, HA_PACK = step("pack", "sw"), step("pack", "ha")
SW, HA = step("distil", "sw", pack=SW_PACK), step("distil", "ha", pack=HA_PACK)
SW_TUNED, HA_TUNED = step("finetune", "sw", student=SW), step("finetune", "ha", student=HA)
PLAN = Plan((SW_PACK, HA_PACK, SW, HA, SW_TUNED, HA_TUNED))


class Told(list[tuple[str, str, str]]):
    """What a searcher told about steps: key, state, reason."""

    def __call__(self, step: Step, state: str, reason: str) -> None:
        self.append((step.key, state, reason))


@pytest.fixture
def told() -> Told:
    return Told()


def finish(searcher: StepSearcher, trial: str, **result: Any) -> None:
    searcher.on_trial_complete(trial, {"state": "done", **result})


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


MEMORY = {"device_memory": 10 * 10**9, "device_memory_total": 80 * 10**9}


def test_steps_share_a_gpu_when_one_of_their_sort_has_told_what_it_takes(told: Told) -> None:
    students = [step("distil", name) for name in ("sw", "ha", "yo", "ig")]
    places = {MODELS: 4, PACKS: 1}
    searcher = StepSearcher(Plan((*students, HA_PACK)), [], told, places=places, gpus=GpuRoom(1, most=2))
    assert searcher.suggest("1") == {"step": students[0].key, "gpus": 1.0}
    assert searcher.suggest("2") == {"step": HA_PACK.key, "gpus": 0.0}, "a pack waits for no GPU"
    assert searcher.suggest("3") is None
    finish(searcher, "1", **MEMORY)
    assert [searcher.suggest(trial) for trial in "345"] == [
        {"step": students[1].key, "gpus": 0.5},
        {"step": students[2].key, "gpus": 0.5},
        None,
    ]
    assert (students[2].key, "running", "steps like it take 10.0 of a GPU's 80 GB, so 2 share one") in told
    finish(searcher, "3")
    assert searcher.suggest("5") == {"step": students[3].key, "gpus": 0.5}
    for trial in "245":
        finish(searcher, trial)
    assert searcher.suggest("6") == Searcher.FINISHED


def test_who_waits_for_the_first_of_its_sort_lets_others_go_ahead(told: Told) -> None:
    training = {"accumulation": 1}
    students = [Step("distil", {}, {}, {}, name, {"lang": name}, training) for name in ("ha", "sw", "yo")]
    other = Step("distil", {}, {}, {}, "other", {"lang": "sw", "layers": 3}, training)
    searcher = StepSearcher(Plan((*students, other)), [], told, gpus=GpuRoom(4))
    assert searcher.suggest("1") == {"step": students[0].key, "gpus": 1.0}
    assert searcher.suggest("2") == {"step": other.key, "gpus": 1.0}, "those before it wait for what the first tells"
    assert searcher.suggest("3") is None
    searcher.on_trial_result("1", {**MEMORY, "loss": 1.0})
    assert [searcher.suggest(trial) for trial in "34"] == [{"step": key.key, "gpus": 0.25} for key in students[1:]]


def test_nobody_who_needs_less_of_a_gpu_passes_by_who_waits_for_room(told: Told) -> None:
    small, large, again = (
        Step("distil", {}, {}, {}, name, {"layers": layers})
        for name, layers in (("small", 1), ("large", 9), ("again", 1))
    )
    room = GpuRoom(1, most=2)
    room.learn([small], MEMORY)
    searcher = StepSearcher(Plan((small, large, again)), [], told, gpus=room)
    assert searcher.suggest("1") == {"step": small.key, "gpus": 0.5}
    assert searcher.suggest("2") is None, "half of the GPU is free, but all of it is what comes next"
    finish(searcher, "1")
    assert searcher.suggest("2") == {"step": large.key, "gpus": 1.0}


def test_what_a_lost_step_took_so_far_is_not_taken_for_all_that_it_takes(told: Told) -> None:
    searcher = StepSearcher(Plan((SW, HA)), [SW_PACK.key, HA_PACK.key], told, gpus=GpuRoom(2))
    assert searcher.suggest("1") == {"step": SW.key, "gpus": 1.0}
    searcher.on_trial_result("1", {"state": "running", **MEMORY})
    searcher.on_trial_complete("1", None, error=True)
    assert [searcher.suggest(trial) for trial in "23"] == [{"step": SW.key, "gpus": 1.0}, {"step": HA.key, "gpus": 1.0}]


def test_what_failed_on_a_shared_gpu_is_tried_again_on_one_of_its_own(told: Told) -> None:
    room = GpuRoom(1, most=2)
    room.learn([SW], MEMORY)
    searcher = StepSearcher(Plan((SW, HA)), [SW_PACK.key, HA_PACK.key], told, gpus=room)
    assert [searcher.suggest(trial) for trial in "12"] == [{"step": SW.key, "gpus": 0.5}, {"step": HA.key, "gpus": 0.5}]
    searcher.on_trial_complete("1", {"state": "failed", "error": "out of memory"})
    assert searcher.suggest("3") is None, "half of the GPU is taken"
    finish(searcher, "2")
    assert searcher.suggest("3") == {"step": SW.key, "gpus": 1.0}
    searcher.on_trial_complete("3", {"state": "failed", "error": "out of memory"})
    assert told[-1] == (SW.key, "failed", "out of memory")
    assert searcher.suggest("4") == Searcher.FINISHED


def test_packs_with_places_of_their_own_leave_the_others_to_models(told: Told) -> None:
    searcher = StepSearcher(PLAN, [SW_PACK.key], told, places={MODELS: 1, PACKS: 1})
    assert [searcher.suggest(trial) for trial in "123"] == [{"step": HA_PACK.key}, {"step": SW.key}, None]
    finish(searcher, "1")
    assert searcher.suggest("3") is None, "the place of a pack is none for a student"
    finish(searcher, "2")
    assert searcher.suggest("3") == {"step": HA.key}


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
