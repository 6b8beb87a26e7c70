"""GPUs are dealt out by what is measured: a trial has one to itself until one of its sort has told what it takes."""

from __future__ import annotations

from typing import Any

import pytest

from bistil_ray.distributed.gpu_share import GpuRoom, Share
from bistil_ray.planning.step import Step


def step(kind: str = "distil", name: str = "sw", **about: Any) -> Step:
    runtime = {"accumulation": 1} if kind in ("distil", "finetune") else {}
    return Step(kind, {}, {}, {}, name, {"lang": name, **about}, runtime)


def figures(gigabytes: float, of: float = 80.0) -> dict[str, int]:
    return {"device_memory": int(gigabytes * 1e9), "device_memory_total": int(of * 1e9)}


def gpus(share: Share | None) -> float | None:
    return None if share is None else share.gpus


def test_the_first_of_a_sort_has_a_gpu_to_itself_and_those_after_it_share() -> None:
    room = GpuRoom(1)
    assert room.take("1", [step()]) == Share(1.0)
    assert room.awaits([step(name="ha")])
    room.leave("1")
    room.learn([step()], figures(9.3))
    shares = [room.take(str(n), [step(name="ha", seed=n, density=0.08)]) for n in range(8)]
    assert [gpus(share) for share in shares] == [pytest.approx(1 / 7, abs=1e-4)] * 7 + [None]
    assert shares[0] is not None and shares[0].reason == "steps like it take 9.3 of a GPU's 80 GB, so 7 share one"


def test_while_the_first_of_a_sort_has_not_told_the_others_wait_and_other_sorts_do_not() -> None:
    room = GpuRoom(8)
    assert room.take("1", [step()]) == Share(1.0)
    assert room.awaits([step(name="ha")]), "it would keep a whole GPU to its end"
    assert not room.awaits([step("finetune")])
    room.take("2", [step("evaluate")])
    assert not room.awaits([step("evaluate", name="ha")]), "it is short and tells nothing"
    room.expect([step()], figures(8) | {"bits_per_character": 2.0})
    assert room.awaits([step(name="ha")]), "it has not trained yet"
    room.expect([step()], figures(8) | {"loss": 1.0})
    assert not room.awaits([step(name="ha")])
    assert gpus(room.take("5", [step(name="ha")])) == 0.2, "0.9 * 80 / (1.5 * 8 + 0.7) is 5.6"
    room.leave("1")
    room.learn([step()], figures(9))
    assert gpus(room.take("6", [step(name="yo")])) == 0.1428, "what it took in all counts in the end"


def test_if_the_first_of_a_sort_is_lost_another_is_the_first() -> None:
    room = GpuRoom(2)
    room.take("1", [step()])
    room.leave("1")
    assert not room.awaits([step()])
    assert room.take("2", [step()]) == Share(1.0)


def test_a_share_is_never_more_than_ray_deals_out() -> None:
    for together in range(1, 9):
        room = GpuRoom(1, most=together)
        room.learn([step()], figures(1))
        taken = [gpus(room.take(str(n), [step()])) for n in range(together)]
        assert None not in taken
        assert round(sum(share or 0.0 for share in taken), 9) <= 1
        assert all(share == round(share or 0.0, 4) for share in taken)


@pytest.mark.parametrize(
    "other", [step("finetune"), step(layers=3), step(teacher="large"), step(recipe="distilmbert"), step(hidden=384)]
)
def test_what_one_sort_of_steps_takes_says_nothing_of_another(other: Step) -> None:
    room = GpuRoom(1)
    room.learn([step()], figures(9.3))
    assert room.take("1", [other]) == Share(1.0)


def test_students_beside_each_other_in_one_process_are_a_sort_of_their_own() -> None:
    room = GpuRoom(1)
    room.learn([step()], figures(9.3))
    assert room.take("1", [step(), step(name="ha")]) == Share(1.0)


def test_the_most_that_was_seen_counts_and_the_smallest_gpu() -> None:
    room = GpuRoom(1)
    for gigabytes, of in ((20, 80), (9, 80), (20, 48)):
        room.learn([step()], figures(gigabytes, of))
    assert gpus(room.take("1", [step()])) == 0.5, "0.9 * 48 / 20.7"


@pytest.mark.parametrize("gigabytes", [40.0, 79.0])
def test_what_fills_a_gpu_has_it_to_itself(gigabytes: float) -> None:
    room = GpuRoom(2)
    room.learn([step()], figures(gigabytes))
    assert room.take("1", [step()]) == Share(1.0)


def test_packs_take_no_gpu() -> None:
    room = GpuRoom(1)
    room.take("1", [step()])
    assert room.take("2", [step("pack")]) == Share(0.0)


def test_a_share_that_was_given_is_kept_whatever_is_measured() -> None:
    room = GpuRoom(1, share=0.5)
    room.learn([step()], figures(1))
    assert [gpus(room.take(str(n), [step()])) for n in range(3)] == [0.5, 0.5, None]
    assert not room.shares("0")
    assert not GpuRoom(1, share=0.5).awaits([step()])
