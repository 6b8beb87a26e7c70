"""``bistil-ray results``: what a run has found so far."""

from __future__ import annotations

from typing import Annotated

import typer

from bistil_ray.errors import ConfigError

from ..console import print_table

app = typer.Typer(rich_markup_mode=None, add_completion=False)

EXAMPLE = "Example: bistil-ray results runs/sample --lang sw --sort latency_ms"


@app.command(epilog=EXAMPLE)
def results(
    run: Annotated[str, typer.Argument(help="A run's folder, or its results.jsonl.")],
    lang: Annotated[str | None, typer.Option(help="Only these languages, such as sw or sw,yo.")] = None,
    sort: Annotated[str, typer.Option(help="The field of a record to sort by within a language.")] = "score",
    as_json: Annotated[bool, typer.Option("--json", help="Print whole records as JSON.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print whole records as CSV.")] = False,
) -> None:
    """Show the students of a run beside their teachers.

    The best student of each language carries a star. A run can be looked at while it goes on.
    """
    from bistil_ray.languages import parse_languages
    from bistil_ray.results.records import read_records
    from bistil_ray.results.tables import COLUMNS, NUMBERS, arrange, best_per_language, of_languages, to_csv, to_json, to_rows

    if as_json and as_csv:
        raise ConfigError("--json and --csv exclude each other: give one of them")
    records = read_records(run)
    if lang is not None:
        records = of_languages(records, parse_languages(lang, flag="--lang"))
    records = arrange(records, sort)
    if as_json:
        typer.echo(to_json(records))
    elif as_csv:
        typer.echo(to_csv(records), nl=False)
    elif not records:
        typer.echo("no step with a score has finished yet", err=True)
    else:
        print_table(COLUMNS, to_rows(records, best_per_language(records).values()), right=NUMBERS)
