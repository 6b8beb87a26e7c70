"""Where runs and steps are kept: a folder, or a bucket with a working copy of it on each machine.

Steps read and write plain files. In a folder, which all machines of a cluster see, they do so in place. Of a bucket
each machine keeps a working copy: what a step needs is fetched before it begins, and what it makes is published when it
has a new checkpoint and when it ends, its completion marker last. An object is replaced whole or not at all. A bucket
that fails for a while is asked again, over about a minute.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import compress
from pathlib import Path
from typing import TYPE_CHECKING

from .data.patience import retried
from .errors import StorageError, first_line
from .results.records import MARKS_OF_A_RUN, RESULTS
from .storage import CHECKPOINTS, DONE, RESULT, is_done, local_path, open_filesystem, prepare_folder, replacing

if TYPE_CHECKING:
    from pyarrow.fs import FileInfo, FileSystem

CACHE = "BISTIL_RAY_CACHE"
"""The environment variable that names the folder of working copies."""
SCHEMES = ("s3://", "gs://")
TRANSFERS, LOOKS = 8, 32
"""Files on their way, and looked for, at once."""


@dataclass(frozen=True)
class RunStorage:
    """The storage at ``place``; ``folder`` is where this machine works on it.

    Names are relative to both: ``steps/pack-1f..``, ``mine/results.jsonl``. For a storage that is a folder, fetching
    and publishing do nothing. What the bucket refuses is a StorageError.
    """

    place: str
    folder: Path
    bucket: FileSystem | None = None
    root: str = ""
    sent: dict[str, int] = field(default_factory=dict, compare=False)
    """When each file that is here as in the bucket was changed last, by this machine's clock, in ns."""

    @property
    def is_folder(self) -> bool:
        """Tell a folder from a bucket."""
        return self.bucket is None

    def fetch(self, names: Iterable[str]) -> None:
        """Bring files and folders here as they are in the bucket; what is only here stays.

        Files of a step never change, so that one of the right size is the right one. Those of a run do.
        """
        for name in names if self.bucket is not None else ():
            there, fixed = self._list(name), name.startswith("steps/")
            old = [path for path, info in there.items() if not (fixed and self._size(path) == info.size)]
            self._transfer(self._download, old)

    def publish(self, name: str, without: str = "") -> None:
        """Bring a folder of this machine to the bucket, but that ``without`` in it.

        New and changed files are sent. Dropped there are checkpoints that are no longer here, and what was in a best
        student's folder before another took its place.
        """
        if self.bucket is None:
            return
        there = self._list(name)
        here = [path for path in self._files(name) if not (without and path.startswith(f"{name}/{without}/"))]
        self._transfer(self._upload, [path for path in here if self._is_news(path, there.get(path))])
        self._transfer(self._delete, [path for path in there if path not in here and self._is_stale(path)])

    def remove(self, name: str) -> None:
        """Delete a folder here and in the bucket."""
        shutil.rmtree(self.folder / name, ignore_errors=True)
        if self.bucket is not None:
            self._transfer(self._delete, list(self._list(name)))

    def finished(self, names: Sequence[str]) -> list[str]:
        """Say which of the steps' folders ``names`` are complete; their results are here afterwards.

        They are asked for by name: the cost does not grow with what else the storage holds.
        """
        with ThreadPoolExecutor(LOOKS) as lookers:  # on a shared mount or in a bucket each look is a moment's wait
            here = set(compress(names, lookers.map(lambda name: is_done(self.folder / name), names)))
            if self.bucket is not None:
                away = [name for name in names if name not in here]
                with self._telling():
                    done = list(compress(away, lookers.map(self._is_marked, away)))
                self._transfer(self._download, [f"{name}/{file}" for name in done for file in (RESULT, DONE)])
                here.update(done)
        return [name for name in names if name in here]

    def name_of(self, place: str) -> str:
        """Give the name of a place in this storage: a URI, a path of this machine or, of a step, of another one."""
        base = self.place.partition("?")[0] if "://" in place else str(self.folder)
        path = place.partition("?")[0]
        _, mark, inside = path.rpartition("/steps/")
        if mark and not path.startswith(f"{base.rstrip('/')}/"):
            return f"steps/{inside}"
        return path.removeprefix(base).strip("/")

    def place_of(self, path: Path | str) -> str:
        """Give the place that means the same on every machine: the path itself or, in a bucket, its URI."""
        if self.bucket is None:
            return str(path)
        base, mark, options = self.place.partition("?")
        return f"{base.rstrip('/')}/{self.name_of(str(path))}{mark}{options}"

    def bring(self, place: str) -> Path:
        """Give the path on this machine of what lies at ``place``, a path or a URI in this storage.

        The storage may have been moved since the path was written down.
        """
        if self.bucket is None:
            return Path(place) if Path(place).exists() else self.folder / self.name_of(place)
        name = self.name_of(place)
        self.fetch([name])
        return self.folder / name

    def _is_marked(self, name: str) -> bool:
        assert self.bucket is not None
        return retried(partial(self.bucket.get_file_info, f"{self.root}/{name}/{DONE}")).is_file

    def _list(self, name: str) -> dict[str, FileInfo]:
        """List the bucket's files at a name, which is that of a file or a folder."""
        from pyarrow.fs import FileSelector

        assert self.bucket is not None
        with self._telling():
            found = [retried(partial(self.bucket.get_file_info, f"{self.root}/{name}"))]
            if not found[0].is_file:
                below = FileSelector(f"{self.root}/{name}", recursive=True, allow_not_found=True)
                found = retried(partial(self.bucket.get_file_info, below))
        return {info.path.removeprefix(f"{self.root}/"): info for info in found if info.is_file}

    def _files(self, name: str) -> Iterator[str]:
        """The files of this machine below a name; hidden ones are being written."""
        for path in sorted((self.folder / name).rglob("*")):
            inside = path.relative_to(self.folder)
            if path.is_file() and not any(part.startswith(".") for part in inside.parts):
                yield inside.as_posix()

    def _size(self, name: str) -> int | None:
        path = self.folder / name
        return path.stat().st_size if path.is_file() else None

    def _is_news(self, name: str, there: FileInfo | None) -> bool:
        if there is None or there.size != self._size(name):
            return True
        changed = (self.folder / name).stat().st_mtime_ns
        # The bucket has a clock of its own, and this machine's may be set: what was sent from here tells for sure.
        return changed != self.sent[name] if name in self.sent else changed > (there.mtime_ns or 0)

    def _is_stale(self, name: str) -> bool:
        parts = name.split("/")
        replaced = parts[1] == "best" and (self.folder / "/".join(parts[:3])).is_dir()
        return replaced or CHECKPOINTS in parts[2:]

    def _transfer(self, move: Callable[[str], None], names: Sequence[str]) -> None:
        """Move files side by side, and completion markers only when all others have arrived."""
        marks = [name for name in names if name.endswith(f"/{DONE}")]
        with self._telling():
            for group in ([name for name in names if name not in marks], marks):
                with ThreadPoolExecutor(TRANSFERS) as movers:
                    list(movers.map(lambda name: retried(partial(move, name)), group))

    def _download(self, name: str) -> None:
        from pyarrow.fs import LocalFileSystem, copy_files

        with replacing(self.folder / name) as temporary:
            copy_files(f"{self.root}/{name}", str(temporary), self.bucket, LocalFileSystem(), use_threads=False)
        self.sent[name] = (self.folder / name).stat().st_mtime_ns

    def _upload(self, name: str) -> None:
        from pyarrow.fs import LocalFileSystem, copy_files

        source = self.folder / name
        if source.is_file():  # and not a checkpoint that a newer one has just replaced
            changed = source.stat().st_mtime_ns
            copy_files(str(source), f"{self.root}/{name}", LocalFileSystem(), self.bucket, use_threads=False)
            self.sent[name] = changed

    def _delete(self, name: str) -> None:
        assert self.bucket is not None
        with suppress(FileNotFoundError):  # an attempt whose answer was lost
            self.bucket.delete_file(f"{self.root}/{name}")

    @contextmanager
    def _telling(self) -> Iterator[None]:
        try:
            yield
        except OSError as problem:
            raise StorageError(f"{self.place}: {first_line(problem)}") from problem


def storage_at(place: str) -> RunStorage:
    """Give this machine's view of the storage at ``place``, which has been opened before.

    Working copies of buckets lie in ``$BISTIL_RAY_CACHE`` or ``~/.cache/bistil-ray``, and may be deleted between runs.
    """
    if not place.startswith(SCHEMES):
        return RunStorage(place, local_path(place.removeprefix("file://")).absolute())
    bucket, root = open_filesystem(place)
    cache = local_path(os.environ.get(CACHE) or "~/.cache/bistil-ray").absolute()
    digest = hashlib.blake2b(place.encode(), digest_size=6).hexdigest()
    return RunStorage(place, cache / digest, bucket, root.rstrip("/"))


def open_storage(place: str) -> RunStorage:
    """Open the storage at ``place`` and show that it can be written; StorageError says what is in the way."""
    storage = storage_at(place)
    if storage.bucket is None:
        prepare_folder(place, "--storage")
        return storage
    prepare_folder(str(storage.folder), f"${CACHE}")
    probe = f"{storage.root}/.write-test-{uuid.uuid4().hex}"
    try:
        with storage.bucket.open_output_stream(probe) as stream:
            stream.write(b"")
        storage.bucket.delete_file(probe)
    except OSError as problem:
        raise StorageError(f"cannot write to {place}: {first_line(problem)} (--storage)") from problem
    return storage


def bring_run(place: str) -> str:
    """Give the folder on this machine of the run at ``place``; of one in a bucket, its results are brought here."""
    if not place.startswith(SCHEMES):
        return place.removeprefix("file://")
    base, mark, options = place.partition("?")
    above, _, name = base.rstrip("/").removesuffix(f"/{RESULTS}").rpartition("/")
    storage = storage_at(f"{above}{mark}{options}")
    storage.fetch(f"{name}/{file}" for file in MARKS_OF_A_RUN)
    return str(storage.folder / name)
