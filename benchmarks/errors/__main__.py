"""What is lost between teacher and student: ``python -m benchmarks.errors SHARED RUN [--lang sw] [--models NAME=DIR]``.

For the students of a run (tasks ner and pos) and the teachers they learned from, the target's test set
``SHARED/data/<task>/<lang>/test.parquet`` is predicted once more, and the answers are compared: by entity type or tag,
by how often the words occur in ``SHARED/data/corpora/<lang>.parquet``, by the pieces they are split into, and with the
teacher's. ``--models`` puts fine-tuned models of any folder beside them.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bistil_ray.results.records import Record
from bistil_ray.tasks.registry import TASKS
from bistil_ray.tasks.tagging import Tagging

from ..finished import read_run
from .comparison import compare
from .word_groups import FREQUENCIES, PIECES

SCORES = ("precision", "recall", "f1")
FATES = ("agreement", "kept", "mended", "repeated")


def show(comparison: Mapping[str, Any], console: Console) -> None:
    """Print what became of the teacher's answers, and the scores by each grouping."""
    rows, title = comparison["rows"], f"{comparison['task']} {comparison['lang']}, teacher {comparison['teacher']}"
    table = Table("model", "seeds", *SCORES, *FATES, title=f"{title}: all answers")
    for row in rows:
        table.add_row(row["name"], str(len(row["models"])), *(_percent(row[name]) for name in (*SCORES, *FATES)))
    console.print(table)
    for by, order in (("tag", ()), ("frequency", FREQUENCIES), ("pieces", PIECES)):
        table = Table(by, "support", "model", *SCORES, title=f"{title}: by {by}")
        for group in order or sorted({group for row in rows for group in row["by"][by]}):
            for row in rows:
                if group in row["by"][by]:
                    found = row["by"][by][group]
                    support = found["support"] // len(row["models"])
                    table.add_row(group, str(support), row["name"], *(_percent(found[name]) for name in SCORES))
            table.add_section()
        console.print(table)


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f}"


def main() -> None:
    """Compare the students of each teacher in each language."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.errors", description=__doc__)
    parser.add_argument("shared", type=Path, help="folder that holds data/")
    parser.add_argument("run")
    parser.add_argument("--lang", help="one target language (default: all)")
    parser.add_argument("--models", nargs="*", default=[], metavar="NAME=DIR", help="models to put beside the students")
    parser.add_argument("--json", action="store_true", help="print data instead of tables")
    options = parser.parse_args()
    run = read_run(options.run)
    groups: dict[tuple[str, str, str], list[Record]] = {}
    for record in run.records:
        if record.is_student and isinstance(TASKS[record.task], Tagging) and options.lang in (None, record.lang):
            groups.setdefault((record.task, record.lang, record.teacher), []).append(record)
    if not groups:
        parser.error(f"{options.run} has no students for ner or pos that fit")
    beside = dict(given.split("=", 1) for given in options.models)
    comparisons = [compare(options.shared, run, students, beside) for students in groups.values()]
    if options.json:
        print(json.dumps(comparisons, indent=2, ensure_ascii=False))
    else:
        for comparison in comparisons:
            show(comparison, Console())


if __name__ == "__main__":
    main()
