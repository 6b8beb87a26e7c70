"""``bistil-ray evaluate``: the scores of one model."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from ..console import print_table, stderr

EPILOG = "Example: bistil-ray evaluate runs/mine/best/sw --task ner --task-data ner/ --langs sw"


def evaluate(
    model: Annotated[str, typer.Argument(help="A model fine-tuned on the task: a folder or a hub id.")],
    task_data: Annotated[str, typer.Option(help="Where <lang>/<split>.parquet lie.")],
    langs: Annotated[str, typer.Option(help="Languages to score, such as sw,yo.")],
    task: Annotated[str, typer.Option(help="The task: ner.")] = "ner",
    split: Annotated[str, typer.Option(help="train, validation or test.")] = "test",
    label_map: Annotated[
        list[str] | None, typer.Option(help="Rename a label, such as DATE=O; may be repeated.")
    ] = None,
    max_length: Annotated[
        int | None,
        typer.Option(min=8, help="Longest sentence in tokens (as many as the model takes); words beyond count as O."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print data instead of a table.")] = False,
) -> None:
    """Score a tagger on one or more languages: span F1 by the CoNLL rules, overall and by type."""
    from bistil_ray.data.tasks import map_labels, read_tagged, task_files
    from bistil_ray.errors import ConfigError
    from bistil_ray.evaluate.tagging import predict_tags, tagging_scores
    from bistil_ray.languages import parse_languages
    from bistil_ray.models.families import family_of, load_tokenizer
    from bistil_ray.models.hub import locate_model
    from bistil_ray.models.taggers import load_tagger, model_labels
    from bistil_ray.steps.run import silence_transformers

    if task != "ner":
        raise ConfigError(f"--task {task!r} is not known: allowed is ner")
    renamed = dict(_pair(entry) for entry in label_map or [])
    folder = locate_model(model, "MODEL")
    files = {lang: task_files(task_data, lang, split)[split] for lang in parse_languages(langs)}
    silence_transformers()
    tagger, tokenizer = load_tagger(folder), load_tokenizer(folder)
    labels = model_labels(tagger)
    most = family_of(tagger.config).longest_text(tagger.config)
    gold = {lang: map_labels(read_tagged(file), renamed, labels) for lang, file in files.items()}
    scores = {}
    for lang, sentences in gold.items():
        with stderr().status(f"scoring {lang}"):
            predicted = predict_tags(tagger, tokenizer, sentences, labels, max_length=min(max_length or most, most))
        scores[lang] = tagging_scores(sentences.tags, predicted)
    if as_json:
        rows = [
            {"lang": lang, "split": split, "metric": "f1", "score": found.f1, "precision": found.precision,
             "recall": found.recall, "by_type": found.by_type, "sentences": len(gold[lang])}
            for lang, found in scores.items()
        ]  # fmt: skip
        typer.echo(json.dumps(rows))
        return
    kinds = sorted({kind for found in scores.values() for kind in found.by_type})
    columns = ("lang", "sentences", "f1", "precision", "recall", *kinds)
    print_table(
        columns,
        [
            (
                lang,
                f"{len(gold[lang]):,}",
                *(f"{value:.3f}" for value in (found.f1, found.precision, found.recall)),
                *(f"{found.by_type[kind]['f1']:.3f}" if kind in found.by_type else "-" for kind in kinds),
            )
            for lang, found in scores.items()
        ],
        right=columns[1:],
    )


def _pair(entry: str) -> tuple[str, str]:
    from bistil_ray.errors import ConfigError

    old, equals, new = entry.partition("=")
    if not equals:
        raise ConfigError(f"--label-map {entry!r} has no '=': write --label-map DATE=O")
    return old, new
