"""Records as the cells of a table that people read, and which of its columns a narrow terminal can do without."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from .records import Record

ASSIGNMENT = "assignment"
"""Which teacher each language has, for students of several: a column only where a record has it."""
WORDS = ("lang", "recipe", ASSIGNMENT, "teacher", "best")
TELLING = ("recipe", "shape", "density", "seed")
"""Settings that need no column where all rows have the same."""
SPARE = ("source", "params", "latency", "size", "of teacher", "seed", "shape", ASSIGNMENT, "recipe")


@dataclass(frozen=True)
class View:
    """A table of words: ``numbers`` names columns of figures, ``spare`` those to leave out where room is short.

    The first of ``spare`` goes first.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numbers: tuple[str, ...]
    spare: tuple[str, ...] = ()


def view_records(records: Sequence[Record], best: Iterable[Record]) -> View:
    """Make the table of at least one record, a row each; ``best`` are the chosen students, which carry a star."""
    chosen = {record.step for record in best}
    return view_of([_cells(record) | {"best": "*" if record.step in chosen else ""} for record in records])


def view_of(cells: Sequence[Mapping[str, str]]) -> View:
    """Make a table of rows that have the same cells; what tells no row from another is the first to be left out."""
    columns = tuple(name for name in cells[0] if name != ASSIGNMENT or any(row[name] != "-" for row in cells))
    alike = [name for name in TELLING if len({row[name] for row in cells}) == 1]
    return View(
        columns,
        tuple(tuple(row[name] for name in columns) for row in cells),
        tuple(name for name in columns if name not in WORDS),
        tuple(name for name in dict.fromkeys([*alike, *SPARE]) if name in columns),
    )


def setting_cells(record: Record) -> dict[str, str]:
    """Give the cells that say which setting a record is of, all but the language."""
    return {
        "recipe": record.recipe,
        ASSIGNMENT: record.assignment or "-",
        "teacher": record.teacher,
        "shape": f"{record.layers} x {record.hidden}",
        "density": "-" if record.density is None else f"{record.density:g}",
        "seed": str(record.seed),
    }


def _cells(record: Record) -> dict[str, str]:
    return {
        "lang": record.lang,
        **setting_cells(record),
        "score": f"{record.score:.3f}",
        "of teacher": "-" if record.retention is None else f"{record.retention:.0%}",
        "source": "-" if record.source_score is None else f"{record.source_score:.3f}",
        "params": f"{record.params / 1e6:.1f} M",
        "size": f"{record.bytes / 1e6:.1f} MB",
        "latency": "-" if record.latency_ms is None else f"{record.latency_ms:.1f} ms",
    }
