"""``bistil-ray evaluate``: the scores of one model."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from ..console import print_table, working
from ..options import TASK_HELP, Quiet

EPILOG = "Example: bistil-ray evaluate runs/mine/best/sw --task ner --task-data ner/ --langs sw"


def evaluate(
    model: Annotated[str, typer.Argument(help="A model fine-tuned on the task: a folder or a hub id.")],
    task_data: Annotated[str, typer.Option(help="Where <lang>/<split>.parquet lie.")],
    langs: Annotated[str, typer.Option(help="Languages to score, such as sw,yo.")],
    task: Annotated[str, typer.Option(help=TASK_HELP)] = "ner",
    split: Annotated[str, typer.Option(help="train, validation or test.")] = "test",
    label_map: Annotated[
        list[str] | None, typer.Option(help="Rename a label, such as DATE=O; may be repeated.")
    ] = None,
    max_length: Annotated[
        int | None,
        typer.Option(min=8, help="Longest text in tokens (as many as the model takes)."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print data instead of a table.")] = False,
    quiet: Quiet = False,
) -> None:
    """Score a fine-tuned model on one or more languages, by the metric of its task and everything else measured."""
    from bistil_ray.data.examples import Examples, read_examples, task_files
    from bistil_ray.errors import ConfigError
    from bistil_ray.languages import parse_languages
    from bistil_ray.models.families import family_of
    from bistil_ray.models.heads import load_model, model_labels
    from bistil_ray.models.hub import locate_model
    from bistil_ray.models.language_tokenizers import tokenizer_for
    from bistil_ray.steps.run import silence_transformers
    from bistil_ray.tasks.registry import TASKS
    from bistil_ray.tasks.task import score

    if task not in TASKS:
        raise ConfigError(f"--task {task!r} is not known: allowed are {', '.join(TASKS)}")
    kind = TASKS[task]
    renamed = dict(_pair(entry) for entry in label_map or [])
    folder = locate_model(model, "MODEL")
    files = {lang: task_files(task_data, lang, split)[split] for lang in parse_languages(langs)}
    silence_transformers()
    scored = load_model(kind.head, folder)
    tokenizers = {lang: tokenizer_for(folder, lang) for lang in files}
    labels = model_labels(scored)
    most = family_of(scored.config).longest_text(scored.config)

    def read(file: str) -> Examples:
        examples = read_examples(file, kind.columns)
        kind.check(examples)
        return kind.relabel(examples, renamed, labels)

    gold = {lang: read(file) for lang, file in files.items()}
    scores = {}
    for turn, (lang, examples) in enumerate(gold.items(), 1):
        with working(f"Scoring {lang} ({turn} of {len(gold)}): {len(examples):,} examples", quiet):
            scores[lang] = score(kind, scored, tokenizers[lang], examples, labels, min(max_length or most, most))
    if as_json:
        rows = [
            {"lang": lang, "split": split, "metric": kind.metric, "score": found.score, "examples": len(gold[lang])}
            | dict(found.details)
            for lang, found in scores.items()
        ]
        typer.echo(json.dumps(rows))
        return
    details = [name for name, value in next(iter(scores.values())).details.items() if isinstance(value, float)]
    columns = ("lang", "examples", kind.metric, *details)
    print_table(
        columns,
        [
            (
                lang,
                f"{len(gold[lang]):,}",
                f"{found.score:.3f}",
                *(f"{found.details[name]:.3f}" for name in details),
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
