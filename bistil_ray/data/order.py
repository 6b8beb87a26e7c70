"""The order in which blocks are seen: seeded, the same in every place, and continued exactly after an interruption.

Blocks lie in Parquet row groups. An epoch visits the row groups in a seeded order and the blocks of each in a seeded
order; epochs follow one another without end. So the position in the stream is a number, and starting there reads only
the row group it falls into.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow.parquet as pq

from .parquet import explained
from .patience import retried


@dataclass(frozen=True)
class Chunk:
    """One visit of a row group: shuffled by ``seed``, the first ``skip`` blocks left out."""

    file: str
    group: int
    seed: tuple[int, ...]
    skip: int = 0


def chunks_from(files: Sequence[str], seed: int, start: int, blocks: int) -> list[Chunk]:
    """List the chunks that hold ``blocks`` blocks of the endless stream over ``files``, from block ``start`` on."""
    groups = [(file, group, rows) for file in files for group, rows in enumerate(_group_rows(file)) if rows]
    total = sum(rows for _, _, rows in groups)
    epoch, skip = divmod(start, total)
    chosen: list[Chunk] = []
    if blocks <= 0:
        return chosen
    for (file, group, rows), when in _visits(groups, seed, epoch):
        if skip >= rows:
            skip -= rows
            continue
        chosen.append(Chunk(file, group, (seed, when, group), skip))
        blocks -= rows - skip
        skip = 0
        if blocks <= 0:
            break
    return chosen


def count_blocks(files: Sequence[str]) -> int:
    """Count the blocks in ``files`` from their footers."""
    return sum(sum(_group_rows(file)) for file in files)


def read_chunk(chunk: Chunk) -> np.ndarray:
    """Read a chunk's blocks in its seeded order, as int32 (rows, T); DataError names a file that cannot be read."""
    with explained(chunk.file):
        column = retried(lambda: pq.ParquetFile(chunk.file).read_row_group(chunk.group, columns=["ids"])).column("ids")
    column = column.combine_chunks()
    rows = column.flatten().to_numpy(zero_copy_only=False).reshape(len(column), -1)
    return np.ascontiguousarray(rows[row_order(chunk, len(rows))], dtype=np.int32)


def in_batches(arrays: Iterable[np.ndarray], size: int) -> Iterator[np.ndarray]:
    """Cut batches of ``size`` rows across the borders of arrays in a row; a last, short one is left out."""
    rest: np.ndarray | None = None
    for rows in arrays:
        rest = rows if rest is None or not len(rest) else np.concatenate([rest, rows])
        while len(rest) >= size:
            yield rest[:size]
            rest = rest[size:]


def row_order(chunk: Chunk, rows: int) -> np.ndarray:
    """Give the numbers of a chunk's rows, of ``rows`` in its row group, in their seeded order."""
    return np.random.default_rng(chunk.seed).permutation(rows)[chunk.skip :]


@dataclass(frozen=True)
class Turns:
    """Whose turn it is at each step, among ``languages``: in every round each has one, in a seeded order."""

    languages: int
    seed: int

    def at(self, step: int) -> int:
        """Give the number of the language of a step."""
        turn, place = divmod(step, self.languages)
        return self._order(turn)[place]

    def before(self, step: int, language: int) -> int:
        """Count the turns a language has had before a step."""
        turn, place = divmod(step, self.languages)
        return turn + (language in self._order(turn)[:place])

    def _order(self, turn: int) -> list[int]:
        return [int(index) for index in np.random.default_rng((self.seed, turn)).permutation(self.languages)]


def _group_rows(file: str) -> list[int]:
    with explained(file):
        facts = retried(lambda: pq.read_metadata(file))
    return [facts.row_group(index).num_rows for index in range(facts.num_row_groups)]


def _visits(
    groups: Sequence[tuple[str, int, int]], seed: int, epoch: int
) -> Iterator[tuple[tuple[str, int, int], int]]:
    while True:
        for index in np.random.default_rng((seed, epoch)).permutation(len(groups)):
            yield groups[index], epoch
        epoch += 1
