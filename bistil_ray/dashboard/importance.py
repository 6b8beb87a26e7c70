"""What mattered most: how much of the differences between a recipe's students each setting explains, by language."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..results.records import Record
from ..results.tables import best_per_language

SETTINGS = ("teacher", "layers", "hidden", "density", "seed")


@dataclass(frozen=True)
class Importance:
    """Shares of the variance of the test scores of one language's students of one recipe.

    ``shares`` has one for each setting, or for settings that never varied apart (``teacher and layers``). ``joint`` is
    explained by the settings together but by none of them alone, ``rest`` by chance and by how settings act together.
    """

    lang: str
    recipe: str
    students: int
    shares: dict[str, float]
    joint: float
    rest: float


def importance_of(records: Sequence[Record]) -> list[Importance]:
    """Measure importance among the students of the best one's recipe, in every language that has enough of them.

    Baselines are left out: how far they fall behind would hide everything else.
    """
    found = []
    for lang, best in best_per_language(records).items():
        alike = [record for record in records if (record.lang, record.recipe) == (lang, best.recipe)]
        found.append(_within(alike))
    return [importance for importance in found if importance is not None]


def _within(records: Sequence[Record]) -> Importance | None:
    """Fit score = mean + an effect for each value of each setting, by least squares.

    A setting's share is what the fit loses without it, less what as many made-up settings would explain by chance
    (omega squared without its small-sample denominator). None where nothing varies or no student is left to judge by.
    """
    score_N = np.array([record.score for record in records])
    total = float(((score_N - score_N.mean()) ** 2).sum())
    groups = _groups(records)
    if not groups or total <= 1e-12:
        return None
    design = {name: _indicators(labels_N) for name, labels_N in groups.items()}
    unexplained, rank = _misfit(score_N, list(design.values()))
    free = len(records) - rank
    if free < 1:
        return None
    noise = unexplained / free
    shares = {}
    for name in design:
        without, lower = _misfit(score_N, [columns for other, columns in design.items() if other != name])
        shares[name] = max(0.0, without - unexplained - (rank - lower) * noise) / total
    explained = max(0.0, total - unexplained - (rank - 1) * noise) / total
    joint = max(0.0, explained - sum(shares.values()))
    return Importance(
        records[0].lang, records[0].recipe, len(records), shares, joint, max(0.0, 1 - joint - sum(shares.values()))
    )


def _groups(records: Sequence[Record]) -> dict[str, np.ndarray]:
    """Number the values of each setting that varies; settings that split the students alike share an entry."""
    names: dict[tuple[int, ...], list[str]] = {}
    for setting in SETTINGS:
        values = [getattr(record, setting) for record in records]
        order = {value: number for number, value in enumerate(dict.fromkeys(values))}
        if len(order) > 1:
            names.setdefault(tuple(order[value] for value in values), []).append(setting)
    return {" and ".join(alike): np.array(labels) for labels, alike in names.items()}


def _indicators(labels_N: np.ndarray) -> np.ndarray:
    return np.eye(int(labels_N.max()) + 1)[labels_N]


def _misfit(score_N: np.ndarray, columns: Sequence[np.ndarray]) -> tuple[float, int]:
    """Give the sum of squares that a constant and ``columns`` leave, and the rank of the fit."""
    design = np.column_stack([np.ones(len(score_N)), *columns])
    solution, _, rank, _ = np.linalg.lstsq(design, score_N, rcond=None)
    return float(((score_N - design @ solution) ** 2).sum()), int(rank)
