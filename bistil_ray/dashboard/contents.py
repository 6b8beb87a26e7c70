"""A run's state as the data of its page: plain JSON, small enough for thousands of students."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import yaml

from ..errors import ConfigError
from ..facts import display_names
from ..languages import language_name
from ..planning.assignments import label
from ..results.records import SETTING
from .compact import EXACT, compact_numbers, compact_table
from .curves import Curve
from .gather import RunState
from .importance import importance_of
from .progress import count_states, seconds_left

SCORES = (
    "score", "validation_score", "validation_lang", "teacher_score", "retention", "agreement", "source_score", "params",
    "bytes", "vocab_size", "flops_per_token", "latency_ms",
)  # fmt: skip
"""Fields of a record that say how good, large and fast a model is; what it is, its step says."""


def page_data(state: RunState) -> dict[str, Any]:
    """Give all that the page draws. Steps are named by their place in ``steps``; times are seconds since 1970."""
    names = display_names(state.config.get("teachers", ()))
    place_of = {step["key"]: place for place, step in enumerate(state.steps)}
    records = [record for record in state.records if record.step in place_of]
    languages = dict.fromkeys([*state.config.get("langs", ()), *(record.lang for record in records)])
    return {
        "run": {
            "name": state.name,
            "place": state.place,
            "steps_folder": state.steps_folder,
            "task": state.config.get("task") or (records[0].task if records else ""),
            "metric": records[0].metric if records else "score",
            "source": state.config.get("source") or (records[0].source if records else ""),
            "languages": {code: _language(code) for code in [*languages, state.config.get("source", "en")]},
            "teachers": {name: place for place, name in names.items()},
            "task_teachers": _task_teachers(state.config, names),
            "config": yaml.safe_dump(dict(state.config), sort_keys=False, allow_unicode=True) if state.config else "",
            "written": int(time.time()),
            "seen": state.seen,
        },
        "counts": count_states(state.states),
        "seconds_left": seconds_left(state.states),
        "steps": compact_table([_step_row(state, number, place_of) for number in range(len(state.steps))]),
        "settings": _settings(state.steps),
        "records": compact_table(
            [
                {"at": place_of[record.step], **{name: getattr(record, name) for name in (*SETTING, *SCORES)}}
                for record in records
            ],
            digits=EXACT,
        ),
        "curves": {place_of[key]: [_curve(curve) for curve in curves] for key, curves in state.curves.items()},
        "importance": [asdict(importance) for importance in importance_of(records)],
    }


def _task_teachers(config: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, str]:
    """Give the task teachers that were given for single teachers, by the name of the teacher."""
    given = config.get("task_teacher")
    return {names.get(place, place): str(there) for place, there in given.items()} if isinstance(given, dict) else {}


def _step_row(state: RunState, number: int, place_of: Mapping[str, int]) -> dict[str, Any]:
    step, now = state.steps[number], state.states[number]
    about = step.get("about") or {}
    needs = step.get("needs") or {}
    bits = state.measured.get(needs.get("student", now.key), {})
    return {
        "key": now.key,
        "kind": now.kind,
        "state": now.state,
        "reason": now.reason or None,
        **{name: about.get(name) for name in SETTING},
        "assignment": about.get("assignment") or _assignment_in(about),
        "languages": about.get("languages"),
        "planned": now.planned_tokens,
        "tokens": now.tokens,
        "started": None if now.started is None else int(now.started),
        "took": None if now.seconds is None else round(now.seconds, 1),
        "needs": [place_of[key] for key in needs.values() if key in place_of],
        "bits": bits.get(about.get("lang", "")),
    }


def _assignment_in(about: Mapping[str, Any]) -> str | None:
    """Say which teachers a step that makes a student of several names, by language."""
    teachers = {key.removeprefix("teacher-"): name for key, name in about.items() if key.startswith("teacher-")}
    return label(teachers) if teachers else None


def _settings(steps: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Write the settings and inputs of steps by kind, in the order in which the steps of a kind stand in the plan."""
    rows: dict[str, list[dict[str, Any]]] = {}
    for step in steps:
        inputs = {f"input {name}": place for name, place in (step.get("inputs") or {}).items()}
        rows.setdefault(step["kind"], []).append({**(step.get("settings") or {}), **inputs})
    return {kind: compact_table(of_kind) for kind, of_kind in rows.items()}


def _curve(curve: Curve) -> dict[str, Any]:
    return {
        "phase": curve.phase,
        "name": curve.name,
        "tokens": compact_numbers(curve.tokens),
        "values": compact_numbers(curve.values),
    }


def _language(code: str) -> str:
    try:
        return language_name(code)
    except ConfigError:
        return code
