"""``bistil-ray corpus``: making corpora of text that lies about, and looking at what is in them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from bistil_ray.terminal import visible

from ..console import print_json, print_table, stderr, working
from ..options import CORPORA_HELP, AsJson, Quiet

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from bistil_ray.data.check import CorpusCheck

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.callback(epilog="Example: bistil-ray corpus build --help")
def corpus() -> None:
    """Build the corpus of a language from files and hub data sets, and look at what is in one."""


@app.command(epilog="Example: bistil-ray corpus build news.txt web/*.jsonl.gz --lang sw --out corpora/ --licence CC0")
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
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Make the corpus of a language: cleaned text, every document once, in Parquet shards that a sweep reads.

    White space is collapsed. Memory stays small whatever the size. A folder that holds something is refused.
    """
    from bistil_ray.data.build import BuildReport, build_corpus, corpus_folder
    from bistil_ray.data.documents import LICENCES, SOURCE, Selection, parse_only
    from bistil_ray.data.raw import Layout, find_inputs
    from bistil_ray.errors import ConfigError
    from bistil_ray.languages import parse_language
    from bistil_ray.storage import prepare_folder

    folder = corpus_folder(out, parse_language(lang, "--lang"))
    only = None if keep_language is None else parse_only(keep_language, "--keep-language")
    layout = Layout(column, only and only[0], (SOURCE, *LICENCES), by_blank_line, subset, split)
    if max_characters is not None and max_characters < min_characters:
        raise ConfigError(f"--max-characters is {max_characters}, below --min-characters, which is {min_characters}")
    selection = Selection(only, min_characters, max_characters, nfc, source, licence)
    found = [raw for place in inputs for raw in find_inputs(place, None if format == "auto" else format)]
    prepare_folder(str(out), "--out")
    with working(f"Reading into {folder}", quiet) as say:

        def show(report: BuildReport) -> None:
            say(f"{report.read:,} rows read, {report.kept:,} documents kept")

        report = build_corpus(found, layout, selection, folder, show)
    if as_json:
        print_json({"folder": str(folder)} | report.record())
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


@app.command(
    epilog="Example: bistil-ray corpus check corpora/ --langs sw,yo --teacher google-bert/bert-base-multilingual-cased"
)
def check(
    corpora: Annotated[str, typer.Argument(help=CORPORA_HELP)],
    langs: Annotated[str, typer.Option(help="Languages to look at, such as sw,yo.")],
    source: Annotated[str, typer.Option(help="Another one, whose lines are looked for in theirs.")] = "en",
    teacher: Annotated[str | None, typer.Option(help="Count the tokens of this model: a hub id or a folder.")] = None,
    column: Annotated[str, typer.Option(help="The corpora's column of text.")] = "text",
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Report what is in corpora: sizes, bad and repeated rows, scripts, lines of another language, unknown tokens.

    Warnings stand below the table. Nothing is changed.
    """
    from bistil_ray.data.check import check_corpora, warnings
    from bistil_ray.data.corpus import corpus_files
    from bistil_ray.errors import DataError
    from bistil_ray.languages import parse_language, parse_languages

    console = stderr()
    files = {lang: corpus_files(corpora, lang) for lang in parse_languages(langs)}
    source = parse_language(source, "--source")
    try:
        files.setdefault(source, corpus_files(corpora, source))
    except DataError:
        console.print(f"No corpus of the source language {source} is there to compare with (--source).")
    tokenizer, unknown_id = _tokenizer(teacher) if teacher is not None else (None, None)
    with working("Reading", quiet) as say:
        checks = check_corpora(files, column, tokenizer, unknown_id, say)
    if as_json:
        print_json([found.record() for found in checks])
        return
    columns = [found.lang for found in checks]
    cells = [_cells(found, columns) for found in checks]
    print_table(("", *columns), [(name, *(its_cells[name] for its_cells in cells)) for name in cells[0]], right=columns)
    for found in checks:
        for warning in warnings(found):
            typer.echo(visible(f"{found.lang}: {warning}"))


def _tokenizer(teacher: str) -> tuple[Tokenizer, int | None]:
    """Give a teacher's tokenizer and the id of its unknown token."""
    from bistil_ray.models.hub import locate_model
    from bistil_ray.models.loading import load_tokenizer

    tokenizer = load_tokenizer(locate_model(teacher, "--teacher"))
    return tokenizer.backend_tokenizer, tokenizer.unk_token_id


def _cells(check: CorpusCheck, langs: list[str]) -> dict[str, str]:
    """Give what a table says of a corpus, by line."""
    from bistil_ray.data.check import some_characters

    survey, tokens = check.survey, check.tokens
    cells = {
        "files": f"{check.files:,}",
        "rows": f"{survey.rows:,}",
        "rows that cannot be used": f"{survey.unusable.total():,}",
        "words": f"{survey.words:,}",
        "characters": f"{survey.characters.total():,}",
        "duplicates": f"{survey.duplicates:,}",
        "alike but for digits, punctuation, case": f"{survey.alike:,}",
        "one word again and again": f"{survey.repetitive:,}",
        "not in NFC": f"{survey.not_nfc:,}",
        "most frequent script": " ".join(f"{share:.2%} {script}" for script, share in [*survey.scripts().items()][:1]),
    }
    cells |= {f"rows that read like {lang}": _rows(check, lang) for lang in langs if len(langs) > 1}
    if tokens is not None:
        cells |= {
            "tokens": f"{tokens.tokens:,}",
            "tokens a word": f"{tokens.tokens / max(1, survey.words):.2f}",
            "unknown tokens": f"{tokens.unknown / max(1, tokens.tokens):.2%}",
            "unknown characters": some_characters(check),
        }
    return cells


def _rows(check: CorpusCheck, lang: str) -> str:
    return f"{check.foreign[lang].rows:,}" if lang in check.foreign else "-"
