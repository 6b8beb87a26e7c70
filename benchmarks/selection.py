"""How well students can be chosen without labels of the target: ``python -m benchmarks.selection RUN... [--json]``.

From the records of runs and the results of their steps alone: the score of each teacher at each density and what one
density for all would cost; whether bits per character after phase 1 rank students as the task does (over all the runs
given: those of one task and language belong together); what the run's choice of a student loses, and others' would.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from rich.console import Console
from rich.table import Table
from scipy.stats import spearmanr  # type: ignore[import-untyped]

from bistil_ray.results.comparison import settings_of
from bistil_ray.results.records import Record
from bistil_ray.results.tables import best_per_language

from .finished import FinishedRun, read_run

FEWEST = 3
"""Points that a rank correlation needs to say anything at all."""


@dataclass(frozen=True)
class Student:
    """A scored student, the key of its phase 1, and the bits per character it had after that in its target language."""

    record: Record
    phase_1: str
    bits: float | None

    @property
    def name(self) -> str:
        """What it was made of, the density as a bare number."""
        made = self.record
        return f"{made.recipe}, {made.teacher}, {made.layers} layers, {made.density}, seed {made.seed}"


def students_of(run: FinishedRun) -> list[Student]:
    """Give the students of a run that have been through both phases."""
    found = []
    for record in run.records:
        phase_1 = run.needs(record).get("student")
        if record.is_student and record.density is not None and phase_1 is not None:
            bits = run.result(phase_1).get("bits_per_character", {})
            found.append(Student(record, phase_1, bits.get(record.lang)))
    return found


def density_table(records: Iterable[Record]) -> list[dict[str, Any]]:
    """Give a row for each language, recipe, teacher and shape: its mean score over seeds at each density."""
    rows: dict[tuple[object, ...], dict[str, Any]] = {}
    for setting in settings_of(records):
        first = setting.records[0]
        made = {name: getattr(first, name) for name in ("task", "lang", "recipe", "teacher", "layers", "hidden")}
        row = rows.setdefault(tuple(made.values()), {**made, "scores": {}, "spreads": {}})
        row["scores"][first.density] = setting.mean
        row["spreads"][first.density] = setting.spread
    return [{**row, "best": max(row["scores"], key=row["scores"].__getitem__)} for row in rows.values()]


def cost_of_one_density(rows: Sequence[dict[str, Any]]) -> dict[float, float]:
    """Give, for each density, how far it is on average below the best one of each row; every row must have it."""
    shared = sorted(set.intersection(*(set(row["scores"]) for row in rows))) if rows else []
    return {one: fmean(max(row["scores"].values()) - row["scores"][one] for row in rows) for one in shared}


def rank_correlation(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Give Spearman's rank correlation; None for fewer than ``FEWEST`` points, or where one side never varies."""
    if len(first) < FEWEST or len(set(first)) == 1 or len(set(second)) == 1:
        return None
    return float(spearmanr(first, second).statistic)


def correlations(students: Iterable[Student]) -> list[dict[str, Any]]:
    """Correlate few bits with high scores, at each density, over one teacher's students and over those of all.

    ``students`` counts different phases 1, of which several scores may come. +1: the ranking is the same.
    """
    groups: dict[tuple[str, str, float | None], list[Student]] = {}
    for student in students:
        if student.bits is not None:
            record = student.record
            groups.setdefault((record.task, record.lang, record.density), []).append(student)
    rows = []
    for (task, lang, density), group in groups.items():
        teachers = list(dict.fromkeys(student.record.teacher for student in group))
        for chosen in [[teacher] for teacher in teachers] + ([teachers] if len(teachers) > 1 else []):
            some = [student for student in group if student.record.teacher in chosen]
            rank = rank_correlation([-(student.bits or 0) for student in some], [one.record.score for one in some])
            counts = {"students": len({student.phase_1 for student in some}), "scores": len(some)}
            made_of = {"task": task, "lang": lang, "teachers": chosen, "density": density}
            rows.append({**made_of, **counts, "rank_correlation": rank})
    return rows


def regrets(run: FinishedRun, students: Sequence[Student]) -> list[dict[str, Any]]:
    """Compare, in each language, the student that the run chose with the best on the test set.

    ``regret`` is how far the choice is below the best; ``by_validation``, ``by_agreement`` and ``by_bits`` the same for
    the student with the highest validation score in the source, the highest agreement with its teacher and the fewest
    bits (the mean of those that have equally few), ``by_chance`` for one drawn blindly. The rank correlations are those
    of validation and of agreement with the score. One run at a time: its own candidates.
    """
    rows = []
    for lang, chosen in best_per_language(run.records).items():
        group = [student for student in students if student.record.lang == lang]
        names = {student.record.step: student.name for student in group}
        best = max(group, key=lambda student: student.record.score)
        criteria = {
            "validation": [student.record.validation_score for student in group],
            "agreement": [student.record.agreement for student in group],
            "bits": [None if student.bits is None else -student.bits for student in group],
        }
        row = {
            "task": chosen.task,
            "lang": lang,
            "candidates": len(group),
            "chosen": names[chosen.step],
            "chosen_score": chosen.score,
            "best": best.name,
            "best_score": best.record.score,
            "regret": best.record.score - chosen.score,
            "by_chance": best.record.score - fmean(student.record.score for student in group),
        }
        for name, values in criteria.items():
            known = [(value, one.record.score) for value, one in zip(values, group, strict=True) if value is not None]
            most = max((value for value, _ in known), default=None)
            reached = [score for value, score in known if value == most]
            row[f"by_{name}"] = best.record.score - fmean(reached) if reached else None
            row[f"ranked_by_{name}"] = rank_correlation([value for value, _ in known], [score for _, score in known])
        rows.append(row)
    return rows


def show(run: str, found: dict[str, Any], console: Console) -> None:
    """Print the densities and the choices of one run."""
    densities = sorted({density for row in found["densities"] for density in row["scores"]})
    made = ("lang", "recipe", "teacher", "layers")
    table = Table(*made, *(f"density {density}" for density in densities), "best", title=f"{run}: scores by density")
    for row in found["densities"]:
        cells = [_score(row["scores"].get(one), row["spreads"].get(one)) for one in densities]
        table.add_row(*(str(row[name]) for name in made), *cells, str(row["best"]))
    if found["cost_of_one_density"] and len(densities) > 1:
        costs = [found["cost_of_one_density"].get(density) for density in densities]
        table.add_section()
        table.add_row("all", "mean lost with this one", "", "", *map(_score, costs), "")
    console.print(table)
    figures = {"lost": "regret"}
    figures |= {f"by {name}": f"by_{name}" for name in ("validation", "agreement", "bits", "chance")}
    figures |= {f"rank by {name}": f"ranked_by_{name}" for name in ("validation", "agreement")}
    choice = ("lang", "students", "chosen", "best on test")
    table = Table(*choice, *figures, title=f"{run}: what choosing loses")
    for row in found["choices"]:
        named = [f"{row[name]}: {_score(row[f'{name}_score'])}" for name in ("chosen", "best")]
        table.add_row(row["lang"], str(row["candidates"]), *named, *(_score(row[name]) for name in figures.values()))
    console.print(table)


def _score(score: float | None, spread: float | None = None) -> str:
    return "-" if score is None else f"{score:.3f}" + (f" ± {spread:.3f}" if spread is not None else "")


def main() -> None:
    """Analyse each run by itself, and bits per character over all of them."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.selection", description=__doc__)
    parser.add_argument("runs", nargs="+", metavar="RUN")
    parser.add_argument("--json", action="store_true", help="print data instead of tables")
    options = parser.parse_args()
    by_run: dict[str, dict[str, Any]] = {}
    everyone: dict[str, Student] = {}
    for place in options.runs:
        run = read_run(place)
        students = students_of(run)
        rows = density_table(student.record for student in students)
        costs = cost_of_one_density(rows)
        by_run[place] = {"densities": rows, "cost_of_one_density": costs, "choices": regrets(run, students)}
        everyone |= {student.record.step: student for student in students}
    ranked = correlations(everyone.values())
    if options.json:
        print(json.dumps({"runs": by_run, "correlations": ranked}, indent=2, ensure_ascii=False))
        return
    console = Console(width=160)
    for place, found in by_run.items():
        show(place, found, console)
    shown = ("task", "lang", "teachers", "density", "students", "scores")
    table = Table(*shown, "rank correlation", title="few bits per character after phase 1 and high scores")
    table.caption = f"left out: {sum(row['rank_correlation'] is None for row in ranked)} groups of too few students"
    for row in ranked:
        if row["rank_correlation"] is not None:
            cells = {**row, "teachers": ", ".join(row["teachers"])}
            table.add_row(*(str(cells[name]) for name in shown), _score(row["rank_correlation"]))
    console.print(table)


if __name__ == "__main__":
    main()
