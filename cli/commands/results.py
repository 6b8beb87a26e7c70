"""``bistil-ray results``: what a run has found so far."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ..console import print_table, stdout

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from bistil_ray.results.records import Record

EPILOG = "Example: bistil-ray results runs/mine --lang sw --sort latency_ms"


def results(
    run: Annotated[str, typer.Argument(help="A run's folder, or its results.jsonl.")],
    lang: Annotated[str | None, typer.Option(help="Only these languages, such as sw or sw,yo.")] = None,
    sort: Annotated[str, typer.Option(help="Field of a record to sort by within a language.")] = "score",
    as_json: Annotated[bool, typer.Option("--json", help="Print whole records as JSON.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print whole records as CSV.")] = False,
) -> None:
    """Show the students of a run beside their teachers.

    The best student of each language carries a star. A run can be looked at while it goes on.
    """
    from bistil_ray.errors import ConfigError
    from bistil_ray.languages import parse_languages
    from bistil_ray.results.records import read_records
    from bistil_ray.results.tables import arrange, of_languages, to_csv, to_json

    if as_json and as_csv:
        raise ConfigError("--json and --csv exclude each other: give one of them")
    records = read_records(run)
    if lang is not None:
        records = of_languages(records, parse_languages(lang, "--lang"))
    records = arrange(records, sort)
    if as_json:
        typer.echo(to_json(records))
    elif as_csv:
        typer.echo(to_csv(records), nl=False)
    else:
        show_records(records, stdout())


def show_records(records: Sequence[Record], console: Console) -> None:
    """Print records, in the order given, as a table with the best student of each language marked.

    Where there are several recipes or seeds, a second table has the recipes side by side.
    """
    from bistil_ray.results.comparison import compare_recipes
    from bistil_ray.results.tables import COLUMNS, NUMBERS, best_per_language, to_rows

    if not records:
        console.print("No step with a score has finished yet.")
        return
    print_table(COLUMNS, to_rows(records, best_per_language(records).values()), NUMBERS, console)
    if len({record.recipe for record in records if record.is_student}) > 1 or len({r.seed for r in records}) > 1:
        columns, rows = compare_recipes(records)
        console.print(f"\n{records[0].metric} by recipe; the setting with the best validation score, over seeds:")
        print_table(columns, rows, columns[1:], console)
