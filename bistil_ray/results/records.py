"""One record per scored model: what ``results.jsonl`` of a run holds, read and written."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from ..errors import StorageError
from ..recipes import TEACHER
from ..storage import append_line

RESULTS = "results.jsonl"
MARKS_OF_A_RUN = (RESULTS, "plan.json", "config.yaml")


class Record(BaseModel):
    """What one finished step found out about one model, on one target language.

    Scores are fractions. ``bytes`` are those of the saved weights, ``latency_ms`` the median of a batch of one at 128
    tokens on the CPU with one thread, ``tokens`` those trained on. A number that was not measured is None. Fields that
    a newer version adds are kept as they are read.
    """

    model_config = ConfigDict(frozen=True, extra="allow", protected_namespaces=())

    step: str
    kind: str
    recipe: str
    source: str
    lang: str
    teacher: str
    layers: int
    hidden: int
    density: float | None = None
    task: str
    seed: int
    split: str
    metric: str
    score: float
    validation_score: float | None = None
    teacher_score: float | None = None
    retention: float | None = None
    """``score / teacher_score``."""
    source_score: float | None = None
    params: int
    bytes: int
    vocab_size: int
    flops_per_token: float | None = None
    latency_ms: float | None = None
    tokens: int | None = None
    seconds: float | None = None
    model_dir: str
    time: str
    """When the step finished, UTC, ISO 8601."""

    @property
    def is_student(self) -> bool:
        """Tell a student from an undistilled teacher."""
        return self.recipe != TEACHER


def find_run(place: str | Path) -> Path:
    """Give the folder of the run at ``place``, which is that folder or its ``results.jsonl``.

    Raises StorageError where there is no run, naming the runs that lie one level below.
    """
    path = Path(place).expanduser()
    if path.is_file() and path.name == RESULTS:
        return path.parent
    if not path.exists():
        raise StorageError(f"no run at {str(place)!r}: no such file or folder")
    if path.is_dir() and _is_run(path):
        return path
    below = sorted(entry.name for entry in path.iterdir() if _is_run(entry)) if path.is_dir() else []
    hint = f"; the runs in it are {', '.join(below)}" if below else " (a run is the folder <storage>/<name>)"
    raise StorageError(f"{str(place)!r} is not a run: it holds no {RESULTS}{hint}")


def _is_run(folder: Path) -> bool:
    return any((folder / mark).is_file() for mark in MARKS_OF_A_RUN)


def read_records(run: str | Path) -> list[Record]:
    """Read the records of a run in the order in which they came; none where no step has finished yet.

    A line that a killed writer left unfinished is passed over: its step is recorded again when the run goes on. Raises
    StorageError where a line is whole and yet no record.
    """
    path = find_run(run) / RESULTS
    return parse_records(path.read_bytes() if path.exists() else b"", str(path))


def parse_records(text: bytes, place: str) -> list[Record]:
    """Make records of what a ``results.jsonl`` holds, as read_records does; ``place`` names the file in errors."""
    records: dict[str, Record] = {}
    for number, values in _lines(text):
        try:
            record = Record.model_validate(values)
        except ValidationError as problem:
            first = problem.errors()[0]
            field = ".".join(str(part) for part in first["loc"]) or "the line"
            raise StorageError(f"{place}, line {number} is no record: {field}: {first['msg']}") from problem
        records.setdefault(record.step, record)
    return list(records.values())


def append_record(path: Path, record: Record) -> bool:
    """Add ``record`` to the file ``path``, on disk when this returns; tell whether it was new.

    A step that is in the file already is not written again. One process writes a run's file at a time.
    """
    written = path.read_bytes() if path.exists() else b""
    if any(isinstance(values, dict) and values.get("step") == record.step for _, values in _lines(written)):
        return False
    append_line(path, record.model_dump_json())
    return True


def _lines(text: bytes) -> Iterator[tuple[int, Any]]:
    """Give number and value of each line that is whole JSON."""
    for number, line in enumerate(text.split(b"\n"), start=1):
        try:
            yield number, json.loads(line)
        except ValueError:
            continue
