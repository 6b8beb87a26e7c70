"""Everything a page shows of a run, gathered from its files; read again and again, finished steps are read once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..config_sources import parse_yaml
from ..locks import LOCK
from ..results.records import CONFIG, PLAN, RESULTS, STATUS, Record, parse_records
from ..results.tables import best_per_language
from ..storage import DONE, METRICS, RESULT, json_lines
from .checked import A_CONFIG, A_PLAN, A_RESULT, A_STATUS, checked
from .curves import MOST_CURVES, Curve, curves_of, worth_a_curve
from .files import RunFiles
from .progress import StepState, state_of


@dataclass(frozen=True)
class RunState:
    """A run as its files tell it at one moment.

    ``steps`` are the entries of ``plan.json`` and ``states`` where each stands, in the same order. ``measured`` holds
    bits per character by language of finished phase-1 steps, ``seen`` when the run last wrote anything.
    """

    name: str
    place: str
    steps_folder: str
    config: Mapping[str, Any]
    steps: Sequence[Mapping[str, Any]]
    states: Sequence[StepState]
    records: Sequence[Record]
    measured: Mapping[str, Mapping[str, float]]
    curves: Mapping[str, Sequence[Curve]]
    seen: float | None


class RunReader:
    """Reads one run as often as wanted."""

    def __init__(self, files: RunFiles) -> None:
        """Nothing is read yet."""
        self._files = files
        self._results: dict[str, dict[str, Any]] = {}
        self._curves: dict[str, list[Curve]] = {}

    def read(self) -> RunState:
        """Read where the run stands; raises StorageError where ``results.jsonl`` holds what is no record."""
        files = self._files
        records = parse_records((files.text(f"{files.run}/{RESULTS}") or "").encode(), f"{files.run}/{RESULTS}")
        plan = checked(A_PLAN, files.json(f"{files.run}/{PLAN}"), f"{files.run}/{PLAN}")
        steps = plan.get("steps") or [_step_of(record) for record in records]
        planned = {step["key"] for step in steps}
        records = [record for record in records if record.step in planned]
        told = checked(A_STATUS, files.json(f"{files.run}/{STATUS}"), f"{files.run}/{STATUS}")
        self._read_results([step["key"] for step in steps])
        running = [key for key, state in told.items() if state.get("state") == "running" and key not in self._results]
        tokens = {key: _trained(json_lines(files.text(self._path(key, METRICS)))) for key in running}
        states = [
            state_of(step, told.get(step["key"], {}), self._results.get(step["key"], {}), tokens.get(step["key"], 0))
            for step in steps
        ]
        signs = [f"{files.run}/{name}" for name in (LOCK, STATUS, RESULTS)]
        signs += [self._path(key, METRICS) for key in running]
        return RunState(
            name=files.name,
            place=files.run,
            steps_folder=files.steps,
            config=_settings_in(files.text(f"{files.run}/{CONFIG}"), f"{files.run}/{CONFIG}"),
            steps=steps,
            states=states,
            records=records,
            measured={key: bits for key, result in self._results.items() if (bits := _bits(result))},
            curves=self._read_curves(states, _by_merit(records, steps)),
            seen=max((written for written in files.modified(signs) if written is not None), default=None),
        )

    def _path(self, key: str, name: str) -> str:
        return f"{self._files.steps}/{key}/{name}"

    def _read_results(self, keys: Sequence[str]) -> None:
        open_ones = [key for key in keys if key not in self._results]
        marks = self._files.modified(self._path(key, DONE) for key in open_ones)
        done = [key for key, written in zip(open_ones, marks, strict=True) if written is not None]
        results = self._files.all_json(self._path(key, RESULT) for key in done)
        self._results |= {
            key: checked(A_RESULT, result, self._path(key, RESULT))
            for key, result in zip(done, results, strict=True)
            if result
        }

    def _read_curves(self, states: Sequence[StepState], ranked: Iterable[str]) -> dict[str, list[Curve]]:
        chosen = worth_a_curve({state.key: state.state for state in states}, ranked)
        curves = {}
        for key in chosen:
            found = self._curves.get(key) or curves_of(json_lines(self._files.text(self._path(key, METRICS))))
            if key in self._results:
                self._curves[key] = found
            if found:
                curves[key] = found
        return curves


def _settings_in(text: str | None, place: str) -> dict[str, Any]:
    found: dict[str, Any] = checked(A_CONFIG, parse_yaml(text or "{}", place) or {}, place)
    return found


def _step_of(record: Record) -> dict[str, Any]:
    """Make the plan's entry of a step of which nothing but its record is there."""
    about = {"lang": record.lang, "teacher": record.teacher, "layers": record.layers, "hidden": record.hidden}
    about |= {"assignment": record.assignment, "recipe": record.recipe, "seed": record.seed, "density": record.density}
    return {"key": record.step, "kind": record.kind, "about": about, "tokens": record.tokens or 0}


def _trained(metrics: Iterable[Mapping[str, Any]]) -> int:
    """Tokens that a running step has trained on, over its phases."""
    reached: dict[str, int] = {}
    for line in metrics:
        phase = str(line.get("phase", ""))
        tokens = line.get("tokens")
        if "loss" in line and isinstance(tokens, int):
            reached[phase] = max(reached.get(phase, 0), tokens)
    return sum(reached.values())


def _bits(result: Mapping[str, Any]) -> Mapping[str, float]:
    """Bits per character that a phase-1 step ended with; a record repeats those of the step before it."""
    bits = result.get("bits_per_character")
    return bits if isinstance(bits, dict) and "record" not in result else {}


def _by_merit(records: Sequence[Record], steps: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Give the keys of students, the best first, each after the phase-1 step that it was made from."""
    student_of = {step["key"]: (step.get("needs") or {}).get("student") for step in steps}
    best = list(best_per_language(records).values())
    for record in [*best, *sorted(records, key=lambda record: -record.score)][: 2 * MOST_CURVES]:
        student = student_of.get(record.step)
        yield from (key for key in (student, record.step) if key)
