"""Parquet files wherever they lie: which there are and what is in them, with errors a user understands."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow.fs import FileSelector, FileType

from ..errors import BistilError, DataError, first_line
from ..storage import open_filesystem
from .patience import retried

SUFFIX = ".parquet"


def inside(place: str, name: str) -> str:
    """Give the path or URI of ``name`` in the folder ``place``; a URI keeps its ``?`` options at the end."""
    if "://" not in place:
        return f"{place.rstrip('/')}/{name}"
    folder, mark, options = place.partition("?")
    return f"{folder.rstrip('/')}/{name}{mark}{options}"


def is_file(uri: str) -> bool:
    """Tell whether there is a file at ``uri``."""
    with explained(uri):
        filesystem, path = open_filesystem(uri)
        return retried(lambda: filesystem.get_file_info(path)).type == FileType.File


def names_in(place: str) -> dict[str, bool]:
    """List what lies in the folder ``place``, ordered by name: True for a folder. Empty if there is none.

    Hidden files, those whose name starts with ``.`` or ``_``, are left out.
    """
    with explained(place):
        filesystem, path = open_filesystem(place)
        if retried(lambda: filesystem.get_file_info(path)).type != FileType.Directory:
            return {}
        entries = retried(lambda: filesystem.get_file_info(FileSelector(path)))
        kinds = {entry.base_name: entry.type == FileType.Directory for entry in entries}
        return {name: kinds[name] for name in sorted(kinds) if not name.startswith((".", "_"))}


@contextmanager
def open_parquet(uri: str) -> Iterator[pq.ParquetFile]:
    """Open a Parquet file by reading its footer; DataError if that cannot be done."""
    with explained(uri):
        filesystem, path = open_filesystem(uri)
        try:
            file = retried(lambda: pq.ParquetFile(path, filesystem=filesystem))
        except pa.ArrowInvalid as problem:
            raise DataError(f"{uri} is not a Parquet file, or is truncated: {first_line(problem)}") from problem
    with file:
        yield file


def check_column(uri: str, names: Sequence[str], column: str, key: str) -> None:
    """DataError unless one of ``names`` is ``column``; it says which there are and the ``key`` to change."""
    if names.count(column) > 1:
        raise DataError(
            f"{uri} has {names.count(column)} columns {column!r}: which one is meant cannot be told ({key})"
        )
    if column not in names:
        raise DataError(f"{uri} has no column {column!r} but {', '.join(names) or 'none at all'} ({key})")


def column_type(uri: str, schema: pa.Schema, column: str, key: str) -> pa.DataType:
    """Give the type of ``column``; DataError as by ``check_column``."""
    check_column(uri, schema.names, column, key)
    return schema.field(schema.names.index(column)).type


def is_text(kind: pa.DataType) -> bool:
    """Tell whether a column of this type holds strings."""
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)


@contextmanager
def explained(uri: str) -> Iterator[None]:
    """Turn what a file system or a reader of formats raises about ``uri`` into a DataError of one line."""
    try:
        yield
    except BistilError:
        raise
    except FileNotFoundError as problem:
        raise DataError(f"{uri} does not exist") from problem
    except Exception as problem:  # clients of clouds and decoders of damaged pages raise what they like
        raise DataError(f"{uri} cannot be read: {first_line(problem)}") from problem
