"""``bistil-ray evaluate``: the scores of one model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from ..console import print_json, print_table, working
from ..options import TASK_HELP, AsJson, LabelMap, Quiet, renamed_labels

EPILOG = "Example: bistil-ray evaluate runs/mine/best/sw --task ner --task-data ner/ --langs sw"


def evaluate(
    model: Annotated[str, typer.Argument(help="A model fine-tuned on the task: a folder or a hub id.")],
    task_data: Annotated[str, typer.Option(help="Where <lang>/<split>.parquet lie.")],
    langs: Annotated[str, typer.Option(help="Languages to score, such as sw,yo.")],
    task: Annotated[str, typer.Option(help=TASK_HELP)] = "ner",
    split: Annotated[str, typer.Option(help="train, validation or test.")] = "test",
    label_map: LabelMap = None,
    max_length: Annotated[
        int | None,
        typer.Option(min=8, help="Longest text in tokens (that of the model's run, or as many as it takes)."),
    ] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Score a fine-tuned model on one or more languages, by the metric of its task and everything else measured.

    A model of a run has its labels renamed as they were for the run; --label-map renames more.
    """
    from bistil_ray.data.examples import Examples, task_files
    from bistil_ray.export.origin import origin_of
    from bistil_ray.languages import parse_languages
    from bistil_ray.models.families import family_of
    from bistil_ray.models.heads import load_model, model_labels
    from bistil_ray.models.hub import locate_model
    from bistil_ray.models.language_tokenizers import tokenizer_for
    from bistil_ray.models.loading import silence_transformers
    from bistil_ray.tasks.registry import task_named
    from bistil_ray.tasks.task import read_labelled, score

    kind = task_named(task)
    given = renamed_labels(label_map)
    folder = locate_model(model, "MODEL")
    origin = origin_of(folder)
    renamed = (origin.label_map if origin else {}) | given
    files = {lang: task_files(task_data, lang, split)[split] for lang in parse_languages(langs)}
    silence_transformers()
    scored = load_model(kind.head, folder)
    tokenizers = {lang: tokenizer_for(folder, lang) for lang in files}
    labels = model_labels(scored)
    most = family_of(scored.config).longest_text(scored.config)
    longest = min(max_length or (origin and origin.max_length) or most, most)

    def read(file: str) -> Examples:
        return kind.relabel(read_labelled(kind, file), renamed, labels)

    gold = {lang: read(file) for lang, file in files.items()}
    rows: list[dict[str, Any]] = []
    for turn, (lang, examples) in enumerate(gold.items(), 1):
        with working(f"Scoring {lang} ({turn} of {len(gold)}): {len(examples):,} examples", quiet):
            found = score(kind, scored, tokenizers[lang], examples, labels, longest)
        about = {"lang": lang, "split": split, "metric": kind.metric, "score": found.score, "examples": len(examples)}
        rows.append(about | dict(found.details))
    if as_json:
        print_json(rows)
    else:
        _print_scores(rows)


def _print_scores(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print a row for each language: its main metric, and what else was measured that is one figure."""
    first = rows[0]
    known = ("score", first["metric"])
    details = [name for name, value in first.items() if isinstance(value, float) and name not in known]
    columns = ("lang", "examples", first["metric"], *details)
    cells = [
        (row["lang"], f"{row['examples']:,}", *(f"{row[name]:.3f}" for name in ("score", *details))) for row in rows
    ]
    print_table(columns, cells, right=columns[1:])
