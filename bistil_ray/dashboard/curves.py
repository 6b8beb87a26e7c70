"""Learning curves, thinned: which steps' curves a page holds, and how many points of each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from sys import float_info
from typing import Any, TypeGuard

MOST_CURVES = 300
"""Steps whose curves a page holds: more can neither be told apart nor kept small."""
MOST_POINTS = 80
"""Points of one line."""

BITS = "bits_per_character"


@dataclass(frozen=True)
class Curve:
    """One line: ``values`` of the quantity ``name`` after so many ``tokens``; ``phase`` is dense, sparse or empty."""

    phase: str
    name: str
    tokens: tuple[float, ...]
    values: tuple[float, ...]


def curves_of(metrics: Iterable[Mapping[str, Any]]) -> list[Curve]:
    """Turn the lines of a ``metrics.jsonl`` into curves of the loss, its terms, and bits per character.

    What a resumed step reported twice counts once, the later time. More than ``MOST_POINTS`` are averaged in groups of
    neighbours.
    """
    points: dict[tuple[str, str], dict[int, tuple[float, float]]] = {}
    for line in metrics:
        step, tokens, phase = line.get("step"), line.get("tokens"), str(line.get("phase", ""))
        if not isinstance(step, int) or not _is_figure(tokens):
            continue
        for name, value in line.items():
            if name.startswith(("loss", BITS)) and _is_figure(value):
                points.setdefault((phase, name), {})[step] = (tokens, value)
    curves = []
    for (phase, name), by_step in points.items():
        tokens, values = zip(*(by_step[step] for step in sorted(by_step)), strict=True)
        curves.append(Curve(phase, name, thinned(tokens, MOST_POINTS), thinned(values, MOST_POINTS)))
    return curves


def _is_figure(value: object) -> TypeGuard[float]:
    """Tell a number that can be drawn: a killed writer, or another program, may leave anything."""
    return isinstance(value, int | float) and abs(value) <= float_info.max


def thinned(values: Sequence[float], most: int) -> tuple[float, ...]:
    """Give at most ``most`` means of neighbouring values, all groups of one size but the last."""
    size = -(-len(values) // most)
    return tuple(fmean(values[start : start + size]) for start in range(0, len(values), size))


def worth_a_curve(states: Mapping[str, str], ranked: Iterable[str], most: int = MOST_CURVES) -> list[str]:
    """Choose the steps whose curves go into a page: what is running or failed, then ``ranked``, then the rest.

    ``states`` holds the state of every step by its key, ``ranked`` the keys to prefer, the best first.
    """
    urgent = [key for key, state in states.items() if state in ("running", "failed", "pruned")]
    finished = [key for key, state in states.items() if state == "done"]
    wanted = dict.fromkeys([*urgent, *(key for key in ranked if key in states), *finished])
    return list(wanted)[:most]
