"""What identifies the content of a file or folder, for the fingerprints of the steps that read it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from pyarrow.fs import FileInfo, FileSelector, FileSystem, FileType, LocalFileSystem
from pyarrow.lib import NativeFile

from ..errors import DataError
from ..storage import open_filesystem
from .parquet import explained

WHOLE_BYTES = 64 * 2**20
"""Local files up to this size are hashed whole."""

_CHUNK = 8 * 2**20
# Of larger files so many equal windows are hashed, evenly spread from the first byte to the last: 16 MiB in
# all.
_WINDOWS, _WINDOW = 64, 2**18
# Of remote files the ends alone, where Parquet and safetensors keep what they know about the rest.
_REMOTE_WINDOWS = 2


def content_fingerprint(uri: str) -> str:
    """Give a hex digest of a file's content, or of all files of a folder with their names inside it.

    Where a file lies, what it is called and when it was changed make no difference; only of a remote file
    the time of change counts. A file of more than 64 MiB, or a remote one, is known by its size and by
    samples of its bytes. Hidden files of a folder are left out. DataError if there is nothing at ``uri``.
    """
    with explained(uri):
        filesystem, path = open_filesystem(uri)
        info = filesystem.get_file_info(path)
        if info.type == FileType.NotFound:
            raise DataError(f"{uri} does not exist")
        if info.type != FileType.Directory:
            return _file_digest(filesystem, info)
        digest = hashlib.blake2b(digest_size=16)
        for name, entry in sorted(_visible_files(filesystem, info.path)):
            digest.update(f"{name}\0{_file_digest(filesystem, entry)}\n".encode())
        return digest.hexdigest()


def _visible_files(filesystem: FileSystem, folder: str) -> Iterator[tuple[str, FileInfo]]:
    for entry in filesystem.get_file_info(FileSelector(folder, recursive=True)):
        name = entry.path.removeprefix(folder).lstrip("/")
        if entry.type == FileType.File and not any(part.startswith(".") for part in name.split("/")):
            yield name, entry


def _file_digest(filesystem: FileSystem, info: FileInfo) -> str:
    digest = hashlib.blake2b(digest_size=16)
    local = isinstance(filesystem, LocalFileSystem)
    with filesystem.open_input_file(info.path) as stream:
        if local and info.size <= WHOLE_BYTES:
            parts = _all(stream, info.size)
        else:
            digest.update(f"{info.size} {None if local else info.mtime_ns}\n".encode())
            parts = _samples(stream, info.size, _WINDOWS if local else _REMOTE_WINDOWS)
        for part in parts:
            digest.update(part)
    return digest.hexdigest()


def _all(stream: NativeFile, size: int) -> Iterator[bytes]:
    for start in range(0, size, _CHUNK):
        yield stream.read_at(_CHUNK, start)


def _samples(stream: NativeFile, size: int, windows: int) -> Iterator[bytes]:
    last = max(0, size - _WINDOW)
    for start in sorted({last * index // (windows - 1) for index in range(windows)}):
        yield stream.read_at(_WINDOW, start)
