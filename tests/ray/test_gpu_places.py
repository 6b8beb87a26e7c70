"""Steps share a GPU by what they are measured to take, and those that wait for room are not passed by."""

from __future__ import annotations

from ray.tune.search import Searcher

from bistil_ray.distributed.gpu_share import GpuRoom
from bistil_ray.distributed.searcher import StepSearcher
from bistil_ray.distributed.slot import MODELS, PACKS
from bistil_ray.planning.plan import Plan
from bistil_ray.planning.step import Step
from tests.ray.told_steps import HA, HA_PACK, PLAN, SW, SW_PACK, Told, finish, step

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
