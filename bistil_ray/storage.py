"""File systems, atomic writes and completion markers: the one room that knows how bytes reach a disk.

Inputs may lie in a folder or behind ``s3://``, ``gs://`` and ``hf://``. Where runs and steps are kept is for
``run_storage.py`` to know.
"""

from __future__ import annotations

import json
import os
import shutil
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from .credentials import ENVIRONMENT, holds_credentials
from .errors import BistilError, StorageError, first_line

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

NO_ROOM = ("No space left on device", "Disk quota exceeded", "File too large")
"""What the system says of a full disk; libraries pass it on in errors of all kinds."""
DONE = "DONE"
RESULT = "result.json"
METRICS = "metrics.jsonl"
CHECKPOINTS = "checkpoints"
LOOKS_AT_ONCE = 32
GCS_LIMIT, GCS_SECONDS = "retry_limit_seconds", 10
"""How long Google's client tries before it says what is wrong: by itself for a quarter of an hour. We try again."""
LONGEST_PATH, LONGEST_NAME = 4000, 255
"""Bytes that file systems take; a path gets a little longer by what is written below it."""

Seen = TypeVar("Seen")


def open_filesystem(uri: str) -> tuple[FileSystem, str]:
    """Give the file system behind ``uri`` and the path in it.

    ``uri`` is a path, ``file://``, ``s3://``, ``gs://`` or ``hf://``. Raises StorageError for any other scheme, and for
    a URI with credentials in it.
    """
    from pyarrow import fs

    if "://" not in uri:
        return fs.LocalFileSystem(), str(local_path(uri).absolute())
    if holds_credentials(uri):
        raise StorageError(f"{uri!r} holds credentials: {ENVIRONMENT}")
    if uri.startswith("hf://"):
        from huggingface_hub import HfFileSystem

        return fs.PyFileSystem(fs.FSSpecHandler(HfFileSystem())), uri.removeprefix("hf://")
    if uri.startswith("gs://") and GCS_LIMIT not in uri:
        uri += f"{'&' if '?' in uri else '?'}{GCS_LIMIT}={GCS_SECONDS}"
    try:
        return fs.FileSystem.from_uri(uri)
    except (ValueError, OSError) as problem:
        raise StorageError(f"cannot open {uri!r}: {problem} (allowed: a folder, s3://, gs://, hf://)") from problem


def local_path(place: str | Path) -> Path:
    """Give the path that ``place`` names, ``~`` standing for a home; StorageError for what no file can be called."""
    try:
        encoded = os.fsencode(place)
    except UnicodeEncodeError as problem:
        raise StorageError(f"{str(place)!r} is no path: {problem.reason}") from problem
    if b"\0" in encoded:
        raise StorageError(f"{str(place)!r} is no path: it holds a NUL character")
    if len(encoded) > LONGEST_PATH or any(len(name) > LONGEST_NAME for name in encoded.split(b"/")):
        raise StorageError(f"'{str(place)[:40]}...' is no path: it is too long ({len(encoded):,} bytes)")
    return Path(os.path.expanduser(place))


def absolute(place: str) -> str:
    """Give a place that means the same in every working directory: a path from the root, a URI as it is."""
    return place if "://" in place else str(local_path(place).absolute())


def prepare_folder(place: str, flag: str) -> Path:
    """Make the folder ``place`` and show that it can be written; StorageError says what is in the way."""
    if "://" in place and not place.startswith("file://"):
        raise StorageError(
            f"{flag} is {place!r}: give a folder, on several machines a shared one"
            + (", or s3:// or gs://" if flag == "--storage" else "")
        )
    folder = local_path(place.removeprefix("file://")).absolute()
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
def told_when_full(place: Path) -> Iterator[None]:
    """Turn any error that says that a disk is full, or a quota used up, into a StorageError about ``place``."""
    try:
        yield
    except BistilError:
        raise
    except Exception as problem:
        reason = next((words for words in NO_ROOM if words in str(problem)), None)
        if reason is None:
            raise
        raise StorageError(
            f"cannot write to {place}: {reason}; free some space and run the same command again, or choose another "
            "folder (--storage, --out)"
        ) from problem


def replaceable(path: Path) -> Path:
    """Give the place that ``path`` leads to; StorageError where nothing can be put: pipes, devices, mounted folders."""
    if path.name in ("", ".."):
        raise StorageError(f"{str(path)!r} names a folder and no file in it")
    if path.is_mount():
        raise StorageError(f"{str(path)!r} is a mounted folder, which cannot be replaced: name a new one inside of it")
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise StorageError(f"{str(path)!r} is neither a file nor a folder, and cannot be replaced: choose another name")
    return path.resolve() if path.is_symlink() else path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary name beside ``path``; what was written there takes its place when the block ends well.

    Whoever may read the folder may read what comes into it. Where ``path`` is a link, it stays, and what it leads to is
    replaced. A folder takes the place of a folder, but no file does: StorageError. Where the block fails, folders that
    were made for it are gone again.
    """
    path = replaceable(path)
    made = [folder for folder in path.parents if not folder.exists()]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        reason = problem.strerror or problem
        raise StorageError(f"cannot write to {path.parent}: {reason}; choose another folder") from problem
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        with told_when_full(path.parent):
            yield temporary
        _open_as_the_folder(temporary)
        if path.is_dir():
            if not temporary.is_dir():
                raise StorageError(
                    f"{str(path)!r} is a folder, and no file is written in its place: choose another name"
                )
            shutil.rmtree(path, ignore_errors=True)
        os.replace(temporary, path)
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary, ignore_errors=True)
        else:
            temporary.unlink(missing_ok=True)
        with suppress(OSError):  # the first that is not empty ends it, as all do when it went well
            for folder in made:
                folder.rmdir()


def write_json(path: Path, value: Any) -> None:  # noqa: ANN401
    """Write ``value`` as JSON, atomically."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def append_line(path: Path, line: str) -> None:
    """Append one line, on disk when this returns; a killed writer's torn line is closed first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        size = os.fstat(descriptor).st_size
        torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
        with told_when_full(path.parent):
            left = (("\n" if torn else "") + line.rstrip("\n") + "\n").encode()
            while left:  # a disk that is nearly full takes a part, and says so at the next one
                left = left[os.write(descriptor, left) :]
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def json_lines(text: str | None) -> Iterator[dict[str, Any]]:
    """Give the JSON objects of a file with one on each line; what a killed writer left unfinished is passed over."""
    for line in (text or "").split("\n"):
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict):
            yield value


def read_metrics(folder: Path) -> Iterator[dict[str, Any]]:
    """Give the lines that a step has reported so far, as far as they are whole; none where it has reported nothing."""
    file = folder / METRICS
    return json_lines(file.read_text(encoding="utf-8", errors="replace") if file.exists() else None)


def is_done(folder: Path) -> bool:
    """Tell whether the step that owns ``folder`` has finished."""
    return (folder / DONE).is_file()


def mark_done(folder: Path, result: dict[str, Any]) -> None:
    """Write the step's result and then, last of all, its completion marker."""
    write_json(folder / RESULT, result)
    write_text(folder / DONE, "")


def read_result(folder: Path) -> dict[str, Any]:
    """Read the result of a finished step; StorageError where it is lost or damaged."""
    try:
        result: dict[str, Any] = json.loads((folder / RESULT).read_text(encoding="utf-8"))
    except (OSError, ValueError) as problem:
        raise StorageError(
            f"{folder / RESULT} cannot be read ({first_line(problem)}): delete {folder}, and the step is done again"
        ) from problem
    return result


def at_once(look: Callable[[Path], Seen], folders: Sequence[Path]) -> list[Seen]:
    """Look at many folders side by side: on a shared mount each look is a moment's wait."""
    with ThreadPoolExecutor(LOOKS_AT_ONCE) as pool:
        return list(pool.map(look, folders))


def _open_as_the_folder(written: Path) -> None:
    """Give files the permissions of the folder around them: safetensors makes its files for their owner alone."""
    for file in [path for path in written.rglob("*") if path.is_file()] if written.is_dir() else [written]:
        with suppress(OSError):  # not every mount has permissions
            file.chmod(file.parent.stat().st_mode & 0o666)
