"""The files of a run, wherever it lies: a local folder, ``s3://`` or ``gs://``."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..data.parquet import explained
from ..errors import StorageError
from ..results.records import MARKS_OF_A_RUN, RESULTS, find_run
from ..storage import open_filesystem

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

READERS = 16
"""Files that are read side by side: what a bucket needs to answer for thousands of steps in seconds."""


@dataclass(frozen=True)
class RunFiles:
    """The folder ``run`` of a run in a file system, and ``steps``, where the steps of its storage lie."""

    filesystem: FileSystem
    run: str
    steps: str

    @property
    def name(self) -> str:
        """Name of the run."""
        return self.run.rsplit("/", 1)[-1]

    def text(self, path: str) -> str | None:
        """Read a file; None where there is none, or where a link or a name in a plan leads out of run and steps."""
        if not self._holds(path):
            return None
        with explained(path):
            try:
                with self.filesystem.open_input_stream(path, compression=None) as stream:
                    return str(stream.read().decode("utf-8", "replace"))
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
                return None

    def json(self, path: str) -> dict[str, Any]:
        """Read a JSON object; an empty one where there is none, or none that is whole."""
        try:
            value = json.loads(self.text(path) or "{}")
        except (ValueError, RecursionError):
            return {}
        return value if isinstance(value, dict) else {}

    def all_json(self, paths: Iterable[str]) -> list[dict[str, Any]]:
        """Read many JSON objects side by side, in their order."""
        with ThreadPoolExecutor(READERS) as readers:
            return list(readers.map(self.json, paths))

    def modified(self, paths: Iterable[str]) -> Iterator[float | None]:
        """Give for each file when it was last written, in seconds since 1970; None where there is none."""
        with explained(self.run):
            infos = self.filesystem.get_file_info(list(paths))
        for found in infos:
            yield found.mtime_ns / 1e9 if found.is_file and found.mtime_ns is not None else None

    def _holds(self, path: str) -> bool:
        """Tell whether a file is one of the run's or its steps'."""
        from pyarrow.fs import LocalFileSystem

        if not isinstance(self.filesystem, LocalFileSystem):
            return ".." not in path.split("/")
        return any(Path(os.path.realpath(path)).is_relative_to(folder) for folder in self._real_folders)

    @cached_property
    def _real_folders(self) -> tuple[str, ...]:
        return os.path.realpath(self.run), os.path.realpath(self.steps)


def open_run_files(place: str) -> RunFiles:
    """Give the files of the run at ``place``, its folder or its ``results.jsonl``; raises StorageError for no run."""
    if "://" not in place:
        place = str(find_run(place).absolute())
    filesystem, path = open_filesystem(place)
    folder = path.rstrip("/").removesuffix(f"/{RESULTS}")
    files = RunFiles(filesystem, folder, f"{folder.rpartition('/')[0]}/steps")
    if all(written is None for written in files.modified(f"{folder}/{mark}" for mark in MARKS_OF_A_RUN)):
        raise StorageError(f"{place!r} is not a run: it holds none of {', '.join(MARKS_OF_A_RUN)}")
    return files
