"""``bistil-ray corpus``: making corpora of text that lies about, and looking at what is in them."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import typer

from ..console import print_table, stderr

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.callback(epilog="Example: bistil-ray corpus build --help")
def corpus() -> None:
    """Build the corpus of a language from files and hub data sets, and look at what is in one."""


@app.command(
    epilog="Example: bistil-ray corpus build news.txt web/*.jsonl.gz --lang sw --out corpora/ --licence CC0-1.0"
)
def build(
    inputs: Annotated[
        list[str], typer.Argument(metavar="INPUT...", help="Files, folders of files, or hub data sets (ORG/NAME).")
    ],
    lang: Annotated[str, typer.Option(help="The language of the text.")],
    out: Annotated[Path, typer.Option(help="Folder of corpora; the shards are put into <out>/<lang>.")],
    column: Annotated[str, typer.Option(help="The column of text.")] = "text",
    format: Annotated[
        Literal["auto", "text", "jsonl", "csv", "tsv", "parquet", "hub"],
        typer.Option(help="What the inputs are; told by the ends of their names if auto."),
    ] = "auto",
    by_blank_line: Annotated[
        bool, typer.Option("--by-blank-line", help="In text files a blank line ends a document, not every line.")
    ] = False,
    subset: Annotated[str | None, typer.Option(help="Subset (configuration) of a hub data set.")] = None,
    split: Annotated[str, typer.Option(help="Split of a hub data set.")] = "train",
    keep_language: Annotated[
        str | None,
        typer.Option(metavar="COLUMN=VALUE", help="Keep only rows whose column says so, such as lang=sw."),
    ] = None,
    min_characters: Annotated[int, typer.Option(min=1, help="Shortest document.")] = 20,
    max_characters: Annotated[int | None, typer.Option(min=1, help="Longest document (a megabyte).")] = None,
    nfc: Annotated[bool, typer.Option(help="Spell every letter the one way of Unicode's NFC.")] = True,
    source: Annotated[
        str | None, typer.Option(help="Where the text comes from (a column source, or the name of the input).")
    ] = None,
    licence: Annotated[
        str | None, typer.Option("--licence", "--license", help="Its licence (a column licence or license).")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Make the corpus of a language: cleaned text, every document once, in Parquet shards that a sweep reads.

    White space is collapsed. Memory stays small whatever the size. A folder that holds something is refused.
    """
    from bistil_ray.data.build import BuildReport, build_corpus, corpus_folder
    from bistil_ray.data.documents import LICENCES, SOURCE, Selection, parse_only
    from bistil_ray.data.raw import Layout, find_inputs
    from bistil_ray.languages import parse_language
    from bistil_ray.storage import prepare_folder

    folder = corpus_folder(out, parse_language(lang, "--lang"))
    only = None if keep_language is None else parse_only(keep_language, "--keep-language")
    layout = Layout(column, only and only[0], (SOURCE, *LICENCES), by_blank_line, subset, split)
    selection = Selection(only, min_characters, max_characters, nfc, source, licence)
    found = [raw for place in inputs for raw in find_inputs(place, None if format == "auto" else format)]
    prepare_folder(str(out), "--out")
    with stderr().status("reading") as status:

        def show(report: BuildReport) -> None:
            status.update(f"{report.read:,} rows read, {report.kept:,} documents kept")

        report = build_corpus(found, layout, selection, folder, show)
    if as_json:
        typer.echo(json.dumps({"folder": str(folder), "read": report.read} | asdict(report), indent=2))
        return
    rows = [
        ("rows read", report.read),
        *((f"dropped: {reason}", dropped) for reason, dropped in report.dropped.most_common()),
        ("documents kept", report.kept),
        ("words", report.words),
        ("characters", report.characters),
        ("files", report.parts),
    ]
    print_table((str(folder), ""), [(name, f"{number:,}") for name, number in rows], right=("",))
