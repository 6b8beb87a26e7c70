"""Labelled data: the files of a task, and their usable rows as plain Python values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from ..errors import DataError
from .parquet import SUFFIX, column_type, explained, inside, is_text, names_in, open_parquet
from .rows import decoded

Value = str | tuple[str, ...] | tuple[int, ...]


@dataclass(frozen=True)
class Examples:
    """The usable rows of a file by column, where they come from, and how many rows were left out by reason."""

    columns: Mapping[str, tuple[Any, ...]]
    uri: str
    skipped: Mapping[str, int]
    numbers: tuple[int, ...] = ()
    """The row of the file that each example was, where it was read from one."""

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def place(self, index: int) -> str:
        """Say where an example stands, for errors."""
        return f"{self.uri}, row {self.numbers[index] if self.numbers else index},"

    def rows(self, *names: str) -> zip[tuple[Any, ...]]:
        """Iterate over the examples as tuples of the named columns."""
        return zip(*(self.columns[name] for name in names), strict=True)


def task_files(task_data: str, language: str, *needed: str) -> dict[str, str]:
    """Find ``<task_data>/<language>/<split>.parquet`` and give the file of each split there is.

    DataError if one of the splits ``needed`` is missing: which path was looked for and what is there.
    """
    folder = inside(task_data, language)
    present = names_in(folder)
    files = {
        name.removesuffix(SUFFIX): inside(folder, name)
        for name, is_folder in present.items()
        if name.endswith(SUFFIX) and not is_folder
    }
    for split in needed:
        if split not in files:
            kind, there = "splits", list(files)
            if not files:
                kind, there = (
                    "languages",
                    [name for name, is_folder in names_in(task_data).items() if is_folder],
                )
            raise DataError(
                f"no {split} data for {language!r}: {inside(folder, split + SUFFIX)} does not exist; "
                f"{kind} there: {', '.join(there) or 'none'} (--task-data)"
            )
    return files


def read_examples(uri: str, columns: Mapping[str, str]) -> Examples:
    """Read the rows of a Parquet file that can be used.

    ``columns`` names each column and its kind: ``text``, ``texts`` (a list of strings), ``numbers`` (a list of
    integers) or ``answers`` (a struct of lists ``text`` and ``answer_start``, read as two tuples). Rows that are null,
    empty, over a megabyte or not valid text are left out and counted. DataError for a file that is not Parquet or is
    damaged, a column that is missing or of another type, and a file without a usable row.
    """
    with open_parquet(uri) as file:
        for name, kind in columns.items():
            found = column_type(uri, file.schema_arrow, name, "--task-data")
            if not KINDS[kind].fits(found):
                raise DataError(
                    f"column {name!r} of {uri} holds {found}, but must hold {KINDS[kind].words} (--task-data)"
                )
        with explained(uri):
            table = file.read(list(columns))
            values = [table.column(name).cast(KINDS[kind].stored).to_pylist() for name, kind in columns.items()]
    skipped: Counter[str] = Counter()
    rows = {}
    for number, row in enumerate(zip(*values, strict=True)):
        read = _usable(row, [KINDS[kind] for kind in columns.values()], skipped)
        if read is not None:
            rows[number] = read
    if not rows:
        raise DataError(f"{uri} has no usable rows{f': {counted(skipped)}' if skipped else ''} (--task-data)")
    by_column = dict(zip(columns, zip(*rows.values(), strict=True), strict=True))
    return Examples(by_column, uri, dict(skipped), tuple(rows))


def counted(skipped: Mapping[str, int]) -> str:
    """Say how many rows were left out, and why."""
    return ", ".join(f"{count} {reason}" for reason, count in skipped.items())


@dataclass(frozen=True)
class _Kind:
    """A kind of column: what it is called, which Arrow types fit, how a value is read, and when there is nothing in it.

    A column is cast to ``stored`` first; ``read`` gives None, and counts why, for a value that is of no use.
    """

    words: str
    fits: Callable[[pa.DataType], bool]
    stored: pa.DataType
    read: Callable[[Any, Counter[str]], Any]
    is_empty: Callable[[Any], bool]


def _usable(row: Sequence[Any], kinds: Sequence[_Kind], skipped: Counter[str]) -> tuple[Any, ...] | None:
    """Decode a row; None, and counted, if one of its values is bad or nothing is in it."""
    values = []
    for kind, value in zip(kinds, row, strict=True):
        read = kind.read(value, skipped)
        if read is None:
            return None
        values.append(read)
    blank = [kind.is_empty(value) for kind, value in zip(kinds, values, strict=True)]
    # One blank text spoils a row; lists of unequal lengths are for the task to judge, unless all are empty.
    texts = [empty for kind, empty in zip(kinds, blank, strict=True) if kind is KINDS["text"]]
    if any(texts) or all(blank):
        skipped["empty"] += 1
        return None
    return tuple(values)


def _text(value: bytes | None, skipped: Counter[str]) -> str | None:
    read = decoded([value], skipped)
    return None if read is None else read[0]


def _numbers(value: Sequence[int | None] | None, skipped: Counter[str]) -> tuple[int, ...] | None:
    if value is None or None in value:
        skipped["null"] += 1
        return None
    return tuple(number for number in value if number is not None)


def _answers(value: Mapping[str, Any] | None, skipped: Counter[str]) -> tuple[Any, ...] | None:
    if value is None:
        skipped["null"] += 1
        return None
    texts, starts = decoded(value["text"], skipped), _numbers(value["answer_start"], skipped)
    return None if texts is None or starts is None else (texts, starts)


def _is_list_of(fits: Callable[[pa.DataType], bool]) -> Callable[[pa.DataType], bool]:
    return lambda kind: (pa.types.is_list(kind) or pa.types.is_large_list(kind)) and fits(kind.value_type)


def _is_answers(kind: pa.DataType) -> bool:
    fields = {kind.field(index).name: kind.field(index).type for index in range(kind.num_fields)}
    return (
        pa.types.is_struct(kind)
        and {"text", "answer_start"} <= fields.keys()
        and _is_list_of(is_text)(fields["text"])
        and _is_list_of(pa.types.is_integer)(fields["answer_start"])
    )


_BYTES, _INTEGERS = pa.large_list(pa.large_binary()), pa.large_list(pa.int64())
_ANSWERS = pa.struct([("text", _BYTES), ("answer_start", _INTEGERS)])
KINDS = {
    "text": _Kind("strings", is_text, pa.large_binary(), _text, lambda value: not value.strip()),
    "texts": _Kind("lists of strings", _is_list_of(is_text), _BYTES, decoded, lambda value: not value),
    "numbers": _Kind(
        "lists of integers", _is_list_of(pa.types.is_integer), _INTEGERS, _numbers, lambda value: not value
    ),
    "answers": _Kind(
        "structs of the lists text and answer_start", _is_answers, _ANSWERS, _answers, lambda value: not value[0]
    ),
}
"""The kinds of columns that tasks have."""
