"""File systems, atomic writes and completion markers: the one room that knows how bytes reach a disk.

Inputs may lie in a folder or behind ``s3://``, ``gs://`` and ``hf://``; runs and steps are written to a folder that
every node sees (a local disk on one machine, a shared mount on several).
"""

from __future__ import annotations

import json
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import StorageError

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

DONE = "DONE"
RESULT = "result.json"


def open_filesystem(uri: str) -> tuple[FileSystem, str]:
    """Give the file system behind ``uri`` and the path in it.

    ``uri`` is a path, ``file://``, ``s3://``, ``gs://`` or ``hf://``. Raises StorageError for any other scheme.
    """
    from pyarrow import fs

    if "://" not in uri:
        return fs.LocalFileSystem(), str(Path(uri).expanduser().absolute())
    if uri.startswith("hf://"):
        from huggingface_hub import HfFileSystem

        return fs.PyFileSystem(fs.FSSpecHandler(HfFileSystem())), uri.removeprefix("hf://")
    try:
        return fs.FileSystem.from_uri(uri)
    except (ValueError, OSError) as problem:
        raise StorageError(f"cannot open {uri!r}: {problem} (allowed: a folder, s3://, gs://, hf://)") from problem


def absolute(place: str) -> str:
    """Give a place that means the same in every working directory: a path from the root, a URI as it is."""
    return place if "://" in place else str(Path(place).expanduser().absolute())


def prepare_folder(place: str, flag: str = "--storage") -> Path:
    """Make the folder ``place`` and show that it can be written; StorageError says what is in the way."""
    if "://" in place and not place.startswith("file://"):
        raise StorageError(
            f"{flag} is {place!r}, but runs are written to a folder: use a local or shared mounted path ({flag})"
        )
    folder = Path(place.removeprefix("file://")).expanduser().absolute()
    probe = folder / f".write-test-{uuid.uuid4().hex}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as problem:
        reason = problem.strerror or problem
        raise StorageError(f"cannot write to {folder}: {reason}; choose another folder with {flag}") from problem
    return folder


def write_text(path: Path, text: str) -> None:
    """Write ``text`` so that a reader sees the old file or the whole new one, never a part."""
    with replacing(path) as temporary, open(temporary, "w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary name beside ``path``; what was written there takes its place when the block ends well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        yield temporary
        if path.is_dir() and not path.is_symlink():
            _remove_tree(path)
        os.replace(temporary, path)
    finally:
        if temporary.is_dir():
            _remove_tree(temporary)
        else:
            temporary.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:  # noqa: ANN401
    """Write ``value`` as JSON, atomically."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def append_line(path: Path, line: str) -> None:
    """Append one line in a single write, on disk when this returns; a killed writer's torn line is closed first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        size = os.fstat(descriptor).st_size
        torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
        os.write(descriptor, (("\n" if torn else "") + line.rstrip("\n") + "\n").encode())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def is_done(folder: Path) -> bool:
    """Tell whether the step that owns ``folder`` has finished."""
    return (folder / DONE).is_file()


def mark_done(folder: Path, result: dict[str, Any]) -> None:
    """Write the step's result and then, last of all, its completion marker."""
    write_json(folder / RESULT, result)
    write_text(folder / DONE, "")


def read_result(folder: Path) -> dict[str, Any]:
    """Read the result of a finished step."""
    result: dict[str, Any] = json.loads((folder / RESULT).read_text(encoding="utf-8"))
    return result


def _remove_tree(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
