"""Unlabelled text: the Parquet files of a language, what is in them, and their texts without the bad rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ..errors import DataError
from .parquet import SUFFIX, column_type, explained, inside, is_file, is_text, names_in, open_parquet
from .patience import resumed
from .rows import usable_texts

# What is held in memory while reading: rows per batch, and bytes of text in it.
_BATCH_ROWS = 1024
_BATCH_BYTES = 16_000_000


LANGUAGE = "{lang}"
"""What stands for the language in a place whose names hold more than that."""


@dataclass(frozen=True)
class Shard:
    """A part of a corpus that one worker reads: one row group of one file, with about so many ``bytes`` of text."""

    uri: str
    row_group: int
    rows: int
    bytes: int = field(default=0, compare=False)
    has_text: bool = field(default=True, compare=False)
    """False where the file itself says that all of its rows are null."""


def corpus_files(corpora: str, language: str) -> list[str]:
    """Find ``<corpora>/<language>.parquet`` or ``<corpora>/<language>/*.parquet``, ordered by name.

    ``corpora`` is a folder, ``s3://``, ``gs://`` or ``hf://datasets/...``; where it holds ``{lang}``, the language
    stands there instead of below it. If both exist, the single file is taken. DataError says which paths were looked
    for and which languages are there.
    """
    if LANGUAGE in corpora:
        place, _, language = corpora.replace(LANGUAGE, language).rstrip("/").rpartition("/")
        corpora = place or "."
    single, folder = inside(corpora, language + SUFFIX), inside(corpora, language)
    if is_file(single):
        return [single]
    entries = names_in(folder).items()
    files = [inside(folder, name) for name, is_folder in entries if name.endswith(SUFFIX) and not is_folder]
    if not files:
        entries = names_in(corpora).items()
        present = {name.removesuffix(SUFFIX) for name, is_folder in entries if is_folder or name.endswith(SUFFIX)}
        raise DataError(
            f"no corpus for language {language!r}: neither {single} nor {inside(folder, '*' + SUFFIX)} "
            f"exists; languages there: {', '.join(sorted(present)) or 'none'} (--corpora)"
        )
    return files


def list_shards(files: Sequence[str], column: str, flag: str = "--set text_column") -> list[Shard]:
    """Cut ``files`` into shards by reading their footers alone; ``flag`` is that by which the user names ``column``.

    DataError if one is no Parquet file or truncated, has no ``column`` or one that holds no strings, or if
    all of them together have no rows.
    """
    shards: list[Shard] = []
    for uri in files:
        with open_parquet(uri) as file:
            kind = column_type(uri, file.schema_arrow, column, flag)
            if not is_text(kind):
                raise DataError(f"column {column!r} of {uri} holds {kind}, but must hold strings ({flag})")
            groups = map(file.metadata.row_group, range(file.metadata.num_row_groups))
            found = [
                Shard(uri, index, group.num_rows, _bytes_of(group, [column]), _has_text(group, column))
                for index, group in enumerate(groups)
            ]
            shards += [shard for shard in found if shard.rows]
    if not shards:
        raise DataError(f"{', '.join(files)} has no rows (--corpora)")
    return shards


def draw_shards(shards: Sequence[Shard], most_bytes: float, seed: int) -> list[Shard]:
    """Draw as many ``shards`` as come to ``most_bytes`` of text, at random, and give them in their order.

    All of them where they are no more than that; the last one drawn may go beyond it.
    """
    drawn: set[int] = set()
    taken = 0
    for place in np.random.default_rng(seed).permutation(len(shards)).tolist():
        if taken >= most_bytes:
            break
        drawn.add(place)
        taken += shards[place].bytes
    return [shard for place, shard in enumerate(shards) if place in drawn]


def read_texts(shard: Shard, column: str, tally: Counter[str]) -> Iterator[list[str]]:
    """Read a shard's texts batch by batch, as they are.

    Rows that are null, empty, over a megabyte or not valid text are left out and counted in ``tally`` (see
    ``usable_texts``). DataError for a damaged file.
    """
    for batch in read_rows(shard, [column]):
        yield usable_texts(batch.column(0), tally)


def read_rows(shard: Shard, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Read some columns of a shard in batches of bounded size; DataError for a damaged file."""

    def batches(given: int) -> Iterator[pa.RecordBatch]:
        with open_parquet(shard.uri) as file:
            rows = _batch_rows(file.metadata.row_group(shard.row_group), columns)
            yield from islice(file.iter_batches(rows, [shard.row_group], columns, use_threads=False), given, None)

    with explained(shard.uri):
        yield from resumed(batches)


def _batch_rows(group: pq.RowGroupMetaData, columns: Sequence[str]) -> int:
    return max(1, min(_BATCH_ROWS, group.num_rows * _BATCH_BYTES // max(1, _bytes_of(group, columns))))


def _bytes_of(group: pq.RowGroupMetaData, columns: Sequence[str]) -> int:
    chunks = [group.column(index) for index in range(group.num_columns)]
    return sum(chunk.total_uncompressed_size for chunk in chunks if chunk.path_in_schema in columns)


def _has_text(group: pq.RowGroupMetaData, column: str) -> bool:
    chunks = [group.column(index) for index in range(group.num_columns)]
    known = next(chunk.statistics for chunk in chunks if chunk.path_in_schema == column)
    return known is None or not known.has_null_count or known.null_count < group.num_rows
