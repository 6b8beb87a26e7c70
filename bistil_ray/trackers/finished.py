"""A finished step as trackers get it: plain settings, curves and final figures, read from its folder."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..planning.step import Step
from ..recipes import TEACHER
from ..results.records import SETTING
from ..storage import read_metrics, read_result

LONGEST_TITLE = 200
NOT_CURVES = ("step", "time", "phase", "lang")

Plain = str | int | float | bool


@dataclass(frozen=True)
class Point:
    """Figures by name after ``step`` training steps, those of earlier phases counted; ``time`` in seconds since 1970.

    Names are those of ``metrics.jsonl``; where a step trains in phases, after the phase: ``dense/loss``.
    """

    step: int
    time: float
    figures: Mapping[str, float]


@dataclass(frozen=True)
class FinishedStep:
    """One finished step.

    ``about`` says which one it is (language, teacher, layers, ...), ``settings`` how it was trained, ``figures`` what
    it ended with: for a model with a score the numbers of its record. Times are seconds since 1970.
    """

    run: str
    key: str
    title: str
    kind: str
    about: Mapping[str, Plain]
    settings: Mapping[str, Plain]
    points: tuple[Point, ...]
    figures: Mapping[str, float]
    is_student: bool
    started: float
    finished: float

    @property
    def name(self) -> str:
        """The title, cut to what a folder can be called, with the start of the fingerprint: no two steps have one."""
        title = self.title.encode()[:LONGEST_TITLE].decode(errors="ignore")
        return f"{title} {self.key.removeprefix(self.kind + '-')[:6]}"


def read_finished(step: Step, folder: Path, run: str) -> FinishedStep:
    """Read the finished step in ``folder``; ``run`` is the name of the run."""
    result = read_result(folder)
    record: Mapping[str, Any] = result.get("record") or {}
    chosen = {name: record[name] for name in SETTING if record.get(name) is not None}
    return FinishedStep(
        run=run,
        key=step.key,
        title=step.title,
        kind=step.kind,
        about=dict(_plain({**step.about, **chosen})),
        settings=dict(_plain(step.settings)),
        points=tuple(points_of(read_metrics(folder))),
        figures=dict(_figures(record or result)),
        is_student=bool(record) and record["recipe"] != TEACHER,
        started=result.get("started", 0.0),
        finished=result.get("finished", 0.0),
    )


def points_of(metrics: Iterable[Mapping[str, Any]]) -> Iterator[Point]:
    """Turn the lines of a ``metrics.jsonl`` into points with ascending steps; what a resumed step repeats counts once.

    A line that says nothing of a phase belongs to the one before it.
    """
    phases: dict[str, dict[int, dict[str, Any]]] = {}
    phase = ""
    for line in metrics:
        if isinstance(line.get("step"), int):
            phase = str(line.get("phase", phase))
            phases.setdefault(phase, {}).setdefault(line["step"], {}).update(line)
    before = 0
    for phase, by_step in phases.items():
        prefix = f"{phase}/" if phase else ""
        for step, line in sorted(by_step.items()):
            figures = {prefix + name: value for name, value in _figures(line) if name not in NOT_CURVES}
            yield Point(before + step, float(line.get("time", 0.0)), figures)
        before += max(by_step)


def _figures(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _figures(value, f"{prefix}{name}_")
        elif isinstance(value, int | float) and not isinstance(value, bool) and name not in ("started", "finished"):
            yield prefix + name, float(value)


def _plain(values: Mapping[str, Any]) -> Iterator[tuple[str, Plain]]:
    for name, value in values.items():
        if isinstance(value, list | tuple | dict):
            yield name, str(value)
        elif value is not None:
            yield name, value
