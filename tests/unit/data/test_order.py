"""The stream of blocks: seeded, every block once an epoch, and the same wherever it is entered."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bistil_ray.data.order import Turns, chunks_from, count_blocks, read_chunk

# Row groups of two files; one group is empty, as a shard may be.
GROUPS = ((5, 3), (4, 0, 1))
BLOCKS = 13


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Files of blocks of 4 ids; the ids of block n are all n."""
    folder = tmp_path_factory.mktemp("blocks")
    schema = pa.schema([("ids", pa.list_(pa.int32(), 4))])
    number = 0
    for name, groups in zip("ab", GROUPS, strict=True):
        with pq.ParquetWriter(folder / f"{name}.parquet", schema) as writer:
            for rows in groups:
                ids = np.repeat(np.arange(number, number + rows, dtype=np.int32), 4)
                column = pa.FixedSizeListArray.from_arrays(pa.array(ids), 4)
                writer.write_table(pa.table([column], schema=schema))
                number += rows
    return [str(path) for path in sorted(folder.iterdir())]


def numbers(files: list[str], seed: int, start: int, count: int) -> list[int]:
    chunks = chunks_from(files, seed, start, count)
    return list(islice((int(row[0]) for chunk in chunks for row in read_chunk(chunk)), count))


def test_blocks_are_counted_without_reading_them(files: list[str]) -> None:
    assert count_blocks(files) == BLOCKS


def test_an_epoch_holds_every_block_once(files: list[str]) -> None:
    stream = numbers(files, 7, 0, 3 * BLOCKS)
    for epoch in range(3):
        assert sorted(stream[epoch * BLOCKS : (epoch + 1) * BLOCKS]) == list(range(BLOCKS))


def test_epochs_and_seeds_have_orders_of_their_own(files: list[str]) -> None:
    stream = numbers(files, 7, 0, 2 * BLOCKS)
    assert stream[:BLOCKS] != stream[BLOCKS:]
    assert stream[:BLOCKS] != numbers(files, 8, 0, BLOCKS)
    assert stream[:BLOCKS] != list(range(BLOCKS))


@pytest.mark.parametrize("start", range(0, 2 * BLOCKS + 3))
def test_to_start_somewhere_is_to_skip_what_comes_before(files: list[str], start: int) -> None:
    assert numbers(files, 7, start, 9) == numbers(files, 7, 0, start + 9)[start:]


def test_only_the_row_groups_needed_are_visited(files: list[str]) -> None:
    for start in range(BLOCKS):
        chunks = chunks_from(files, 7, start, 2)
        held = [len(read_chunk(chunk)) for chunk in chunks]
        assert sum(held) >= 2
        assert sum(held[:-1]) < 2
    assert chunks_from(files, 7, 4, 0) == []


def test_blocks_are_rows_of_32_bit_ids(files: list[str]) -> None:
    rows = read_chunk(chunks_from(files, 7, 0, 1)[0])
    assert rows.dtype == np.int32
    assert rows.shape[1] == 4
    assert (rows == rows[:, :1]).all()


def test_a_moved_folder_keeps_its_order(files: list[str], tmp_path: Path) -> None:
    for file in files:
        (tmp_path / Path(file).name).write_bytes(Path(file).read_bytes())
    moved = [str(path) for path in sorted(tmp_path.iterdir())]
    assert numbers(moved, 7, 0, BLOCKS) == numbers(files, 7, 0, BLOCKS)


def test_every_language_has_one_turn_a_round() -> None:
    turns = Turns(languages=3, seed=7)
    seen = [turns.at(step) for step in range(60)]
    assert all(sorted(seen[start : start + 3]) == [0, 1, 2] for start in range(0, 60, 3))
    assert len({tuple(seen[start : start + 3]) for start in range(0, 60, 3)}) > 1
    assert all(
        turns.before(step, language) == seen[:step].count(language) for step in range(60) for language in range(3)
    )
