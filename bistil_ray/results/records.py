"""One record per scored model: what ``results.jsonl`` of a run holds, read and written."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from ..errors import StorageError
from ..recipes import TEACHER
from ..storage import append_line, local_path

RESULTS = "results.jsonl"
PLAN = "plan.json"
CONFIG = "config.yaml"
STATUS = "status.json"
REPORT = "report.html"
MARKS_OF_A_RUN = (RESULTS, PLAN, CONFIG)
SETTING = ("lang", "teacher", "recipe", "assignment", "layers", "hidden", "density", "seed")
"""The fields of a record that say how a model was made."""


class Record(BaseModel):
    """What one finished step found out about one model, on one target language.

    Scores are fractions. ``bytes`` are those of the saved weights, ``latency_ms`` the median of a batch of one at 128
    tokens on the CPU with one thread, ``tokens`` those trained on. A number that was not measured is None. Fields that
    a newer version adds are kept as they are read.
    """

    model_config = ConfigDict(frozen=True, extra="allow", protected_namespaces=(), allow_inf_nan=False)

    step: str
    kind: str
    recipe: str
    source: str
    lang: str
    teacher: str
    assignment: str | None = None
    """The teachers of all languages of a student that has several: ``en=A,sw=B``; ``teacher`` is that of ``lang``."""
    layers: int
    hidden: int
    density: float | None = None
    task: str
    seed: int
    split: str
    metric: str
    score: float
    validation_score: float | None = None
    validation_lang: str | None = None
    """Whose validation data: ``lang`` where labels of it were learned from, else ``source``; older records lack it."""
    teacher_score: float | None = None
    retention: float | None = None
    """``score / teacher_score``."""
    agreement: float | None = None
    """``metric`` with what the teacher says of the test set taken for right."""
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

    @property
    def is_validated_in_target(self) -> bool:
        """Tell whether its validation score says what it can do in the language that it is for."""
        return self.validation_lang == self.lang

    @property
    def is_taught_from(self) -> bool:
        """Tell the task teacher of students from teachers tuned otherwise, which are compared with it."""
        return not self.is_student and self.agreement is None


def find_run(place: str | Path) -> Path:
    """Give the folder of the run at ``place``, which is that folder or its ``results.jsonl``.

    Raises StorageError where there is no run, naming the runs that lie one level below.
    """
    path = local_path(place)
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

    Those of steps that its plan no longer has, made of other data or by an earlier version, are left out. A line that a
    killed writer left unfinished is passed over: its step is recorded again when the run goes on. Raises StorageError
    where a line is whole and yet no record.
    """
    steps = read_plan(find_run(run))
    planned = None if steps is None else {step["key"] for step in steps}
    return [record for record in read_all_records(run) if planned is None or record.step in planned]


def read_all_records(run: str | Path) -> list[Record]:
    """Read the records of a run as ``read_records`` does, those of earlier plans among them."""
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


class RecordFile:
    """A run's ``results.jsonl`` as its one writer has it: each step once, and what is in it read once."""

    def __init__(self, path: Path) -> None:
        """Go on with the file ``path``, or begin it."""
        self._path = path
        lines = _lines(path.read_bytes() if path.exists() else b"")
        self._steps = {values.get("step") for _, values in lines if isinstance(values, dict)}

    def __contains__(self, step: str) -> bool:
        """Tell whether the step with the key ``step`` is in the file."""
        return step in self._steps

    def append(self, *records: Record) -> int:
        """Add ``records``, on disk when this returns; tell how many were new. Steps that are there stay as they are."""
        new = {record.step: record.model_dump_json() for record in records if record.step not in self._steps}
        if new:
            append_line(self._path, "\n".join(new.values()))
            self._steps |= new.keys()
        return len(new)


def read_plan(run: Path) -> list[dict[str, Any]] | None:
    """Read what the plan of a run says of its steps; None where there is no plan, or none that can be read."""
    try:
        steps = json.loads((run / PLAN).read_text(encoding="utf-8"))["steps"]
        return [{**step, "key": step["key"], "about": step.get("about", {})} for step in steps]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _lines(text: bytes) -> Iterator[tuple[int, Any]]:
    """Give number and value of each line that is whole JSON."""
    for number, line in enumerate(text.split(b"\n"), start=1):
        try:
            yield number, json.loads(line)
        except (ValueError, RecursionError):
            continue
