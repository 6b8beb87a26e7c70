"""Storage that fails for a while is asked again; what is lost or damaged is told at once, with its name."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from huggingface_hub.errors import OfflineModeIsEnabled

from bistil_ray.data import patience
from bistil_ray.data.corpus import list_shards, read_texts
from bistil_ray.data.order import Chunk, chunks_from, read_chunk
from bistil_ray.data.patience import WAITS, resumed, retried
from bistil_ray.errors import DataError


def failing(times: int, problem: OSError) -> Callable[[], str]:
    """A read that fails so often before it gives something."""
    left = iter(range(times))

    def read() -> str:
        if next(left, None) is not None:
            raise problem
        return "content"

    return read


@pytest.mark.parametrize(
    "problem",
    [
        OSError(errno.ESTALE, "Stale file handle"),
        ConnectionResetError("reset"),
        OSError("When reading key 'a' in bucket 'b': AWS Error SLOW_DOWN during GetObject operation: slow down"),
    ],
)
def test_what_may_pass_is_tried_again_with_growing_pauses_and_a_limit(problem: OSError) -> None:
    slept: list[float] = []
    assert retried(failing(3, problem), slept.append) == "content"
    assert slept == list(WAITS[:3]) == sorted(WAITS[:3])
    with pytest.raises(OSError, match=str(problem.strerror or problem)[:10]):
        retried(failing(99, problem), slept.append)
    assert slept[3:] == list(WAITS)


@pytest.mark.parametrize(
    "problem",
    [
        FileNotFoundError(errno.ENOENT, "No such file"),
        PermissionError(errno.EACCES, "Permission denied"),
        OSError("Couldn't deserialize thrift: don't know what type"),
        OSError("When reading key 'a' in bucket 'b': AWS Error ACCESS_DENIED during GetObject operation: no"),
        OfflineModeIsEnabled("HF_HUB_OFFLINE is set"),
    ],
)
def test_what_will_not_pass_is_not_waited_for(problem: OSError) -> None:
    with pytest.raises(type(problem)):
        retried(failing(1, problem), lambda seconds: pytest.fail("waited"))


def test_an_iteration_goes_on_where_it_was_and_may_fail_again_later() -> None:
    failures = iter([2, 5])
    slept: list[float] = []

    def start(given: int) -> Iterator[int]:
        stop = next(failures, 99)
        for number in range(given, 8):
            if number == stop:
                raise TimeoutError
            yield number

    assert list(resumed(start, slept.append)) == list(range(8))
    assert slept == [WAITS[0], WAITS[0]]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Blocks of four ids and texts, in two row groups."""
    blocks = pa.array([[row] * 4 for row in range(6)], pa.list_(pa.int32(), 4))
    table = pa.table({"ids": blocks, "text": [f"text {row} " * 50 for row in range(6)]})
    pq.write_table(table, tmp_path / "part.parquet", row_group_size=3, compression="none")
    return tmp_path / "part.parquet"


def test_texts_and_blocks_are_read_whole_through_a_failure(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shard, chunk = list_shards([str(file)], "text")[1], chunks_from([str(file)], 0, 0, 6)[0]
    expected = (list(read_texts(shard, "text", patience_free())), read_chunk(chunk).tolist())
    failures = iter(range(2))
    opened = pq.ParquetFile

    def flaky(*args: object, **options: object) -> pq.ParquetFile:
        if next(failures, None) is not None:
            raise OSError(errno.EIO, "Input/output error")
        return opened(*args, **options)

    monkeypatch.setattr(patience, "WAITS", (0.0, 0.0, 0.0))
    monkeypatch.setattr(pq, "ParquetFile", flaky)
    assert list(read_texts(shard, "text", patience_free())) == expected[0]
    failures = iter(range(2))
    assert read_chunk(chunk).tolist() == expected[1]


def patience_free() -> dict[str, int]:
    """A tally for rows left out, of which there are none here."""
    from collections import Counter

    return Counter()


@pytest.mark.parametrize("damage", ["cut", "scratched", "gone"])
def test_blocks_that_cannot_be_read_are_named(damage: str, file: Path) -> None:
    content = file.read_bytes()
    if damage == "cut":
        file.write_bytes(content[: len(content) // 2])
    elif damage == "scratched":
        file.write_bytes(content[:4] + b"\xff" * 400 + content[404:])
    else:
        file.unlink()
    with pytest.raises(DataError, match=f"{file} (cannot be read|does not exist)"):
        read_chunk(Chunk(str(file), 0, (1, 2)))
