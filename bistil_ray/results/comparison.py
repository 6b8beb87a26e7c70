"""Recipes side by side: each language's best setting of every recipe, as mean and spread over seeds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from ..recipes import TEACHER
from .records import SETTING, Record

SPARSE_TEACHER = "teacher, sparse"
"""The row of the teachers that recipe ``teacher`` tunes; ``teacher`` is the one that students learn from."""


@dataclass(frozen=True)
class Setting:
    """The records that differ in nothing but the seed."""

    records: tuple[Record, ...]

    @property
    def mean(self) -> float:
        """Mean score."""
        return fmean(record.score for record in self.records)

    @property
    def spread(self) -> float | None:
        """Standard deviation of the score over seeds; None for a single one."""
        return stdev(record.score for record in self.records) if len(self.records) > 1 else None

    @property
    def validation(self) -> float:
        """Mean validation score, by which settings are chosen; minus infinity where it was not measured."""
        scores = [record.validation_score for record in self.records]
        known = [score for score in scores if score is not None]
        return fmean(known) if len(known) == len(scores) else float("-inf")


def settings_of(records: Iterable[Record]) -> list[Setting]:
    """Group records by everything but the seed, in the order in which settings first occur."""
    groups: dict[tuple[object, ...], list[Record]] = {}
    for record in records:
        made = tuple(getattr(record, name) for name in SETTING if name != "seed")
        groups.setdefault((record.task, *made), []).append(record)
    return [Setting(tuple(group)) for group in groups.values()]


def compare_recipes(records: Sequence[Record]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Make a table with a row for each recipe and a column for each language: ``0.412 ± 0.008`` over seeds.

    Of several settings of a recipe (teachers, depths, densities) a language shows the one with the highest mean
    validation score. Undistilled teachers come first. The last column is the mean over languages, where there are
    several and a recipe has been scored on all.
    """
    best: dict[tuple[str, str], Setting] = {}
    for setting in settings_of(records):
        first = setting.records[0]
        place = _row_of(first), first.lang
        if place not in best or setting.validation > best[place].validation:
            best[place] = setting
    languages = list(dict.fromkeys(record.lang for record in records))
    recipes = sorted(dict.fromkeys(map(_row_of, records)), key=lambda recipe: recipe not in (TEACHER, SPARSE_TEACHER))
    rows = []
    for recipe in recipes:
        chosen = [best.get((recipe, lang)) for lang in languages]
        cells = ["-" if setting is None else _shown(setting) for setting in chosen]
        scores = [setting.mean for setting in chosen if setting is not None]
        if len(languages) > 1:
            cells.append(f"{fmean(scores):.3f}" if len(scores) == len(languages) else "-")
        rows.append((recipe, *cells))
    return ("recipe", *languages, *(("mean",) if len(languages) > 1 else ())), rows


def _row_of(record: Record) -> str:
    return record.recipe if record.is_student or record.is_taught_from else SPARSE_TEACHER


def _shown(setting: Setting) -> str:
    return f"{setting.mean:.3f}" if setting.spread is None else f"{setting.mean:.3f} ± {setting.spread:.3f}"
