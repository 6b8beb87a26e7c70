"""A finished run as the analyses of it need it: its records, and what the plan says of the step behind each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bistil_ray.results.records import Record, find_run, read_plan, read_records
from bistil_ray.storage import read_result


@dataclass(frozen=True)
class FinishedRun:
    """The records of a run whose steps are in its plan, and the plan's steps by key."""

    folder: Path
    records: Sequence[Record]
    steps: Mapping[str, Mapping[str, Any]]

    def settings(self, record: Record) -> Mapping[str, Any]:
        """Give the settings of the step that made a record."""
        return self.steps[record.step]["settings"]

    def needs(self, record: Record) -> Mapping[str, str]:
        """Give the keys of the steps that a record's step needed, by role: ``student``, ``evaluate``."""
        return self.steps[record.step]["needs"]

    def result(self, key: str) -> dict[str, Any]:
        """Read the result of a step."""
        return read_result(self.folder.parent / "steps" / key)


def read_run(place: str | Path) -> FinishedRun:
    """Read the run at ``place``."""
    folder = find_run(place)
    steps = {step["key"]: step for step in read_plan(folder) or []}
    return FinishedRun(folder, read_records(folder), steps)
