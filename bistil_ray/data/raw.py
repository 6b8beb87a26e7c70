"""Raw data as it comes: text, JSONL, CSV, TSV and Parquet files and hub data sets, read row by row.

A row is a mapping of column names to values; strings may be bytes that nobody has decoded yet. Whatever the size of a
file, one row or one batch of rows of it is in memory at a time.
"""

from __future__ import annotations

import csv
import io
import json
import re
import textwrap
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, BinaryIO, Literal

import pyarrow as pa

from ..errors import DataError
from ..storage import open_filesystem
from .corpus import Shard, read_rows
from .parquet import check_column, column_type, explained, inside, is_file, is_text, names_in, open_parquet
from .rows import MAX_TEXT_BYTES

Row = Mapping[str, Any]

FORMATS = ("text", "jsonl", "csv", "tsv", "parquet", "hub")
_BY_SUFFIX = {
    ".txt": "text",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".csv": "csv",
    ".tsv": "tsv",
    ".parquet": "parquet",
}
# Those that a file system opens unpacked.
_PACKED = (".gz", ".bz2", ".zst", ".lz4")
_HUB = "hf://datasets/"
# Of a longer line no more than this is read; a row of JSON may hold much beside its text.
_LONGEST_LINE = 16 * MAX_TEXT_BYTES


@dataclass(frozen=True)
class RawInput:
    """A file, or a hub data set, and its format."""

    place: str
    format: str

    @property
    def name(self) -> str:
        """What it is called wherever it lies."""
        return self.place if self.format == "hub" else PurePosixPath(self.place.partition("?")[0]).name


@dataclass(frozen=True)
class Layout:
    """How inputs are laid out.

    ``text`` is the column of text and ``told_by`` one that rows are chosen by; both must be there, ``others`` are read
    where they are. Of a text file each line is a row or, with ``by_blank_line``, all lines up to a blank one.
    ``subset`` and ``split`` name the part of a hub data set.
    """

    text: str = "text"
    told_by: str | None = None
    others: tuple[str, ...] = ()
    by_blank_line: bool = False
    subset: str | None = None
    split: str = "train"

    @property
    def columns(self) -> set[str | None]:
        """All that are of interest."""
        return {self.text, self.told_by, *self.others}


def find_inputs(place: str, format: str | None = None) -> list[RawInput]:
    """Find what ``place`` stands for: a file, the files of a folder, or a hub data set (``ORG/NAME``).

    Without a ``format`` the ends of the names tell it, behind one of a packed file. DataError says what was looked for.
    """
    if format == "hub":
        return [RawInput(place.removeprefix(_HUB), "hub")]
    if format is None and re.fullmatch(rf"{_HUB}[^/]+/[^/]+/?", place):
        return [RawInput(place.removeprefix(_HUB).rstrip("/"), "hub")]
    if is_file(place):
        return [RawInput(place, format or _format_of(place) or _unknown_format(place))]
    names = [name for name, is_folder in names_in(place).items() if not is_folder]
    found = [RawInput(inside(place, name), known) for name in names if (known := format or _format_of(name))]
    if found:
        return found
    if names:
        raise DataError(f"no file in {place} ends in {', '.join(_BY_SUFFIX)}: name the format (--format)")
    if format is None and re.fullmatch(r"[\w.-]+/[\w.-]+", place) and _format_of(place) is None:
        return [RawInput(place, "hub")]
    raise DataError(f"there is no file or folder of files at {place!r} (allowed too: a hub data set, ORG/NAME)")


def read_raw(source: RawInput, layout: Layout, tally: Counter[str]) -> Iterator[Row]:
    """Read the rows of an input; lines that are ``not JSON`` where they should be are counted in ``tally``.

    DataError if the input cannot be read or lacks a column that must be there.
    """
    place = source.place
    match source.format:
        case "text":
            rows = _text_rows(place, layout)
        case "jsonl":
            rows = _jsonl_rows(place, tally)
        case "parquet":
            rows = _parquet_rows(place, layout)
        case "hub":
            rows = _hub_rows(place, layout)
        case _:
            rows = _csv_rows(place, "\t" if source.format == "tsv" else ",")
    for number, row in enumerate(rows):
        # A later row without the column is a row without text.
        if number == 0:
            check_column(place, list(row), layout.text, "--column")
            if layout.told_by is not None:
                check_column(place, list(row), layout.told_by, "--keep-language")
        yield row


def _format_of(name: str) -> str | None:
    suffixes = [suffix.lower() for suffix in PurePosixPath(name.partition("?")[0]).suffixes]
    if suffixes and suffixes[-1] in _PACKED:
        suffixes.pop()
    return _BY_SUFFIX.get(suffixes[-1]) if suffixes else None


def _unknown_format(place: str) -> str:
    raise DataError(f"the format of {place} is not known: name it with --format (allowed: {', '.join(FORMATS)})")


def _text_rows(uri: str, layout: Layout) -> Iterator[Row]:
    with _opened(uri) as stream:
        if not layout.by_blank_line:
            yield from ({layout.text: line} for line in _lines(stream))
            return
        waiting: list[bytes] = []
        size = 0
        for line in _lines(stream):
            if line.strip():
                # What is too long already stays so without the rest.
                if size <= MAX_TEXT_BYTES:
                    waiting.append(line)
                    size += len(line) + 1
            elif waiting:
                yield {layout.text: b"\n".join(waiting)}
                waiting, size = [], 0
        if waiting:
            yield {layout.text: b"\n".join(waiting)}


def _jsonl_rows(uri: str, tally: Counter[str]) -> Iterator[Row]:
    with _opened(uri) as stream:
        for line in filter(bytes.strip, _lines(stream)):
            try:
                row = json.loads(line)
            except (ValueError, RecursionError):
                row = None
            if isinstance(row, dict):
                yield row
            else:
                tally["not JSON"] += 1


def _csv_rows(uri: str, delimiter: str) -> Iterator[Row]:
    # A tab-separated file has no quotes that mean anything: a sentence in quotation marks is one.
    quoting: Literal[0, 3] = csv.QUOTE_NONE if delimiter == "\t" else csv.QUOTE_MINIMAL
    csv.field_size_limit(_LONGEST_LINE)
    with _opened(uri) as stream:
        text = io.TextIOWrapper(stream, encoding="utf-8", errors="surrogateescape", newline="")
        reader = csv.DictReader(text, restkey="", delimiter=delimiter, quoting=quoting)
        try:
            yield from reader
        except csv.Error as problem:
            raise DataError(f"{uri}, line {reader.line_num}: {problem}; is a quote left open?") from problem


def _parquet_rows(uri: str, layout: Layout) -> Iterator[Row]:
    with open_parquet(uri) as file:
        kind = column_type(uri, file.schema_arrow, layout.text, "--column")
        if not is_text(kind):
            raise DataError(f"column {layout.text!r} of {uri} holds {kind}, but must hold strings (--column)")
        there = [name for name in file.schema_arrow.names if name in layout.columns]
        shards = [
            Shard(uri, index, file.metadata.row_group(index).num_rows) for index in range(file.metadata.num_row_groups)
        ]
    for shard in shards:
        for batch in read_rows(shard, there):
            values = (_undecoded(batch.column(name)).to_pylist() for name in there)
            yield from (dict(zip(there, row, strict=True)) for row in zip(*values, strict=True))


def _hub_rows(name: str, layout: Layout) -> Iterator[Row]:
    import datasets

    datasets.disable_progress_bars()
    try:
        rows = datasets.load_dataset(name, layout.subset, split=layout.split, streaming=True)
        present: Sequence[str] | None = rows.column_names
        if present is not None:
            check_column(name, present, layout.text, "--column")
            # Pictures and sounds beside the text are not even decoded.
            rows = rows.select_columns([column for column in present if column in layout.columns])
        yield from rows
    except DataError:
        raise
    except Exception as problem:  # clients of the hub and readers of a dozen formats raise what they like
        said = textwrap.shorten(str(problem) or type(problem).__name__, 300)
        raise DataError(
            f"{name!r} is no file or folder here, and as a hub data set it cannot be read: {said} (--subset, --split)"
        ) from problem


@contextmanager
def _opened(uri: str) -> Iterator[BinaryIO]:
    """Open a file, unpacked, behind its byte-order mark if it has one."""
    with explained(uri):
        filesystem, path = open_filesystem(uri)
        with filesystem.open_input_stream(path) as raw, io.BufferedReader(raw) as stream:
            if stream.peek(3)[:3] == b"\xef\xbb\xbf":
                stream.read(3)
            yield stream


def _lines(stream: BinaryIO) -> Iterator[bytes]:
    """Read lines without their ends; of one that is far too long, its beginning."""
    while line := stream.readline(_LONGEST_LINE):
        yield line.rstrip(b"\r\n")
        while len(line) == _LONGEST_LINE and not line.endswith(b"\n"):
            line = stream.readline(_LONGEST_LINE)


def _undecoded(column: pa.Array) -> pa.Array:
    return column.cast(pa.large_binary()) if is_text(column.type) else column
