"""Ray Data gives a step exactly what plain loops would."""

from __future__ import annotations

from pathlib import Path
from threading import Event

import numpy as np
import pytest
import torch

from bistil_ray.data.order import Chunk, chunks_from, read_chunk
from bistil_ray.data.pack import block_file
from bistil_ray.distributed.stream import RayContext
from bistil_ray.errors import DataError
from bistil_ray.steps.context import LocalContext

pytestmark = pytest.mark.usefixtures("cluster")


@pytest.fixture
def context() -> RayContext:
    return RayContext(lambda metrics: None, torch.device("cpu"))


@pytest.fixture(scope="module")
def chunks(tmp_path_factory: pytest.TempPathFactory) -> list[Chunk]:
    """Two epochs of blocks in row groups of different sizes, entered in the middle of one."""
    folder = tmp_path_factory.mktemp("blocks")
    random = np.random.default_rng(0)
    for name, groups in {"a": (5, 2, 9), "b": (1, 4)}.items():
        with block_file(folder / f"{name}.parquet", 8) as file:
            for rows in groups:
                file.add(random.integers(0, 99, 8 * rows, dtype=np.int32))
                file.flush()
    return chunks_from([str(path) for path in sorted(folder.iterdir())], 3, 4, 36)


@pytest.mark.parametrize("batch_size", [1, 4, 7])
def test_batches_are_those_of_plain_loops(context: RayContext, chunks: list[Chunk], batch_size: int) -> None:
    ours = list(context.blocks(chunks, batch_size))
    theirs = list(LocalContext().blocks(chunks, batch_size))
    assert len(ours) == len(theirs) > 0
    for one, other in zip(ours, theirs, strict=True):
        assert np.array_equal(one, other)


def test_what_the_first_chunk_holds_is_there_before_ray_has_started_reading(
    context: RayContext, chunks: list[Chunk], monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = Event()
    monkeypatch.setattr("bistil_ray.distributed.stream._read_elsewhere", lambda others: iter(begun.wait, True))
    batches = context.blocks(chunks, 2)
    assert np.array_equal(next(batches), read_chunk(chunks[0])[:2])
    begun.set()


def test_no_chunks_give_no_batches(context: RayContext) -> None:
    assert list(context.blocks([], 4)) == []


def square_of_even(number: int) -> dict[str, int]:
    if number % 2:
        raise DataError(f"{number} is odd")
    return {"square": number * number}


def one_over(number: int) -> float:
    return 1 / number


def test_products_come_in_the_order_of_the_items(context: RayContext) -> None:
    numbers = [8, 2, 0, 6, 4, 2]
    assert context.map(square_of_even, numbers) == [{"square": number * number} for number in numbers]


def test_a_users_mistake_found_in_a_task_comes_back_as_it_was(context: RayContext) -> None:
    with pytest.raises(DataError, match="^3 is odd$"):
        context.map(square_of_even, [2, 3, 4])


def test_any_other_failure_in_a_task_is_a_failure_here(context: RayContext) -> None:
    with pytest.raises(Exception, match="division by zero"):
        context.map(one_over, [2, 0])


def test_a_file_of_blocks_that_cannot_be_read_is_named(
    context: RayContext, chunks: list[Chunk], tmp_path: Path
) -> None:
    broken = tmp_path / "part.parquet"
    broken.write_bytes(b"PAR1 and then nothing of the kind")
    for before in ([], chunks):
        with pytest.raises(DataError, match=f"^{broken} cannot be read: [^\n]+$"):
            list(context.blocks([*before, Chunk(str(broken), 0, (1, 2))], 2))
