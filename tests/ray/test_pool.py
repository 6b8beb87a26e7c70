"""Predictions made by a pool of processes are those of a plain loop, and a pool starts only where there is room."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import ray
import torch
from ray.util.placement_group import placement_group, placement_group_table, remove_placement_group

from bistil_ray.distributed.pool import share
from bistil_ray.distributed.stream import RayContext
from bistil_ray.errors import DataError
from bistil_ray.steps.context import Context, Job, LocalContext
from bistil_ray.steps.predict import prediction_files
from bistil_ray.steps.run import run_step
from tests.packed import pack_of

CPU = torch.device("cpu")


def add(amount: int, device: torch.device, number: int) -> tuple[int, str]:
    if number == 13:
        raise DataError("13 is not lucky")
    return number + amount, device.type


def not_here(*_: object) -> None:
    raise AssertionError("the step's own process was to wait for the pool")


def load(amount: int, device: torch.device) -> partial[tuple[int, str]]:
    return partial(add, amount, device)


@pytest.fixture(autouse=True)
def idle(cluster: None, request: pytest.FixtureRequest) -> Iterator[None]:
    """Leave so many of the cluster's four cores idle."""
    room = placement_group([{"CPU": 4 - request.param}])
    assert room.wait(60)
    yield
    remove_placement_group(room)


def rooms_in_use() -> int:
    return sum(room["state"] != "REMOVED" for room in placement_group_table().values()) - 1


def idle_cores(number: int) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("idle", [number], indirect=True)


@pytest.mark.slow
@idle_cores(2)
def test_a_users_mistake_in_the_pool_comes_back_as_it_was_and_the_room_is_given_back() -> None:
    made = share(partial(load, 5), [13, 1], CPU)
    assert made is not None and rooms_in_use() == 1
    with pytest.raises(DataError, match="^13 is not lucky$"):
        list(made)
    assert rooms_in_use() == 0


@idle_cores(1)
def test_without_idle_room_for_two_there_is_no_pool() -> None:
    assert share(partial(load, 5), [1, 2, 3], CPU) is None
    here = RayContext(lambda metrics: None, CPU).spread(partial(add, 1, CPU), partial(load, 5), [1, 2, 3])
    assert list(here) == [(2, "cpu"), (3, "cpu"), (4, "cpu")]


@idle_cores(2)
def test_fewer_than_two_items_need_no_pool() -> None:
    assert share(partial(load, 5), [1], CPU) is None
    assert share(partial(load, 5), [], CPU) is None


@idle_cores(1)
def test_room_that_is_taken_in_the_meantime_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bistil_ray.distributed.pool.PATIENCE", 0.2)
    monkeypatch.setattr(ray, "available_resources", lambda: {"CPU": 4.0})
    assert share(partial(load, 5), [1, 2, 3], CPU) is None
    assert rooms_in_use() == 0


@idle_cores(2)
def test_the_pool_writes_the_files_of_the_plain_loop_byte_for_byte(
    tiny_data: Path, xlmr_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs = {"pack": pack_of(xlmr_folder, tiny_data / "corpora", "sw", tmp_path / "pack")}
    settings = {"lang": "sw", "length": 16, "mask": 0.2, "top_k": 4, "kept": "likeliest", "seed": 0}

    def predict(name: str, context: Context) -> dict[str, bytes]:
        run_step(Job("predict", settings, {"teacher": str(xlmr_folder)}, needs, tmp_path / name), context)
        return {Path(file).name: Path(file).read_bytes() for file in prediction_files(tmp_path / name)}

    reported: list[int] = []
    context = RayContext(lambda metrics: reported.append(metrics["step"]), CPU)
    alone = predict("alone", LocalContext())
    monkeypatch.setattr("bistil_ray.steps.predict.predict_file", not_here)  # the processes of the pool have their own
    assert len(alone) == 3 and predict("shared", context) == alone
    assert reported == [1, 2, 3]
    assert rooms_in_use() == 0
