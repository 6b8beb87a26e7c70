"""``bistil-ray results``: what a run has found so far."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bistil_ray.terminal import visible

from ..console import print_json, print_table, stdout

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from bistil_ray.results.columns import View
    from bistil_ray.results.records import Record

EPILOG = "Example: bistil-ray results runs/mine --lang sw --sort latency_ms"


def results(
    run: Annotated[str, typer.Argument(help="A run's folder or URI, or its results.jsonl.")],
    lang: Annotated[str | None, typer.Option(help="Only these languages, such as sw or sw,yo.")] = None,
    sort: Annotated[str, typer.Option(help="Field of a record to sort by within a language.")] = "score",
    compare: Annotated[
        str | None, typer.Option(metavar="RUN2", help="Another run: the same settings in both, side by side.")
    ] = None,
    to_optuna: Annotated[
        str | None,
        typer.Option(metavar="DATABASE", help="Add the students to Optuna studies, such as sqlite:///mine.db."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print data, whole records, as JSON.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print data, whole records, as CSV.")] = False,
) -> None:
    """Show the students of a run beside their teachers.

    The best student of each language carries a star. A run can be looked at while it goes on.
    """
    from bistil_ray.errors import ConfigError
    from bistil_ray.languages import parse_languages
    from bistil_ray.results.records import find_run, read_records
    from bistil_ray.results.tables import arrange, of_languages, to_csv
    from bistil_ray.run_storage import bring_run

    if as_json and as_csv:
        raise ConfigError("--json and --csv exclude each other: give one of them")
    if compare is not None and to_optuna is not None:
        raise ConfigError("--compare and --to-optuna exclude each other: give one of them")
    langs = None if lang is None else parse_languages(lang, "--lang")
    run, compare = bring_run(run), compare and bring_run(compare)

    def read(place: str) -> list[Record]:
        records = read_records(place)
        return arrange(records if langs is None else of_languages(records, langs), sort)

    records = read(run)
    if compare is not None:
        _compare(find_run(run), records, find_run(compare), read(compare), as_json, as_csv)
    elif to_optuna is not None:
        _write_studies(records, find_run(run), to_optuna, as_json, as_csv)
    elif as_json:
        print_json([record.model_dump(mode="json") for record in records])
    elif as_csv:
        typer.echo(to_csv(records), nl=False)
    else:
        show_records(records, stdout())


def show_records(records: Sequence[Record], console: Console) -> None:
    """Print records, in the order given, as a table with the best student of each language marked.

    Where there are several recipes or seeds, a second table has the recipes side by side.
    """
    from bistil_ray.results.columns import view_records
    from bistil_ray.results.comparison import compare_recipes
    from bistil_ray.results.tables import best_per_language

    if not records:
        console.print("No step with a score has finished yet.")
        return
    _show(view_records(records, best_per_language(records).values()), console)
    if len({record.recipe for record in records if record.is_student}) > 1 or len({r.seed for r in records}) > 1:
        columns, rows = compare_recipes(records)
        metric = visible(records[0].metric)
        console.print(f"\n{metric} by recipe; the setting with the best validation score, over seeds:")
        print_table(columns, rows, columns[1:], console)


def _show(view: View, console: Console) -> None:
    print_table(view.columns, view.rows, view.numbers, console, view.spare)


def _compare(
    run: Path, here: Sequence[Record], other: Path, there: Sequence[Record], as_json: bool, as_csv: bool
) -> None:
    """Print two runs side by side: what differs in their settings, each pair of scores, the mean by language."""
    from bistil_ray.results.two_runs import mean_differences, pair_up, pairs_to_csv, view_pairs

    pairs = pair_up(here, there)
    means, changed = mean_differences(pairs), _changed_settings(run, other)
    if as_csv:
        typer.echo(pairs_to_csv(pairs), nl=False)
        return
    if as_json:
        data = {
            "here": str(run),
            "there": str(other),
            "settings": changed,
            "pairs": [pair.to_dict() for pair in pairs],
            "mean_difference": means,
        }
        print_json(data)
        return
    console = stdout()
    console.print(visible("\n".join((f"here: {run}", f"there: {other}", *changed, ""))))
    if not pairs:
        console.print("No step with a score has finished yet in either.")
        return
    _show(view_pairs(pairs), console)
    for place, alone in (("here", sum(p.there is None for p in pairs)), ("there", sum(p.here is None for p in pairs))):
        if alone:
            console.print(f"Only {place}: {alone} of {len(pairs)} settings")
    if means:
        console.print("\nMean difference of the students that both have (above 0: better here):")
        print_table(("lang", "difference"), [(lang, f"{mean:+.3f}") for lang, mean in means.items()], ("difference",))


def _changed_settings(run: Path, other: Path) -> list[str]:
    """Say in which settings two runs differ, ``key: there -> here``; nothing where a configuration cannot be read."""
    from bistil_ray.config import differences
    from bistil_ray.config_sources import load_config
    from bistil_ray.errors import ConfigError

    try:
        return differences(*(load_config(str(place / "config.yaml")) for place in (other, run)))
    except ConfigError:
        return []  # a run of another version, or records without a run


def _write_studies(records: Sequence[Record], run: Path, storage: str, as_json: bool, as_csv: bool) -> None:
    from bistil_ray.credentials import masked
    from bistil_ray.errors import ConfigError
    from bistil_ray.results.optuna_study import write_studies

    if as_csv:
        raise ConfigError("--to-optuna and --csv exclude each other: give one of them")
    added = write_studies(records, run, storage)
    if as_json:
        print_json(added)
    else:
        print_table(("study", "new trials"), [(name, str(count)) for name, count in added.items()], ("new trials",))
        typer.echo(masked(f"See them: optuna-dashboard {storage}"))
