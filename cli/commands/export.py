"""``bistil-ray export``: a model to take away, for the hub, as ONNX or in int8."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..console import print_json, print_table, stderr, working
from ..options import AsJson, LabelMap, Quiet, renamed_labels
from ..single import new_folder

if TYPE_CHECKING:
    from bistil_ray.export.origin import Origin
    from bistil_ray.export.package import LabelledSet, Subject

EPILOG = "Example: bistil-ray export runs/mine/best/sw --format onnx-int8 --out sw-int8 --task-data ner/ --langs sw"


def export(
    model: Annotated[str, typer.Argument(help="A fine-tuned model or a masked language model: a folder or a hub id.")],
    out: Annotated[Path, typer.Option(help="New folder for the exported model.")],
    form: Annotated[str, typer.Option("--format", help="hf, onnx or onnx-int8.")] = "hf",
    push: Annotated[str | None, typer.Option(help="Also upload the folder to this repository, ORG/NAME.")] = None,
    task_data: Annotated[
        str | None, typer.Option(help="Where <lang>/<split>.parquet lie, to score before and after.")
    ] = None,
    langs: Annotated[str | None, typer.Option(help="Languages to score (that of the model's record).")] = None,
    split: Annotated[str, typer.Option(help="train, validation or test.")] = "test",
    task: Annotated[str | None, typer.Option(help="Its task (that of the model's record).")] = None,
    label_map: LabelMap = None,
    licence: Annotated[
        str, typer.Option(help="Licence of the model, as the hub writes it, such as cc-by-4.0.")
    ] = "unknown",
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Write a model, its tokenizer and its card to a new folder; ONNX files are compared with PyTorch first."""
    from dataclasses import asdict

    from bistil_ray.errors import ConfigError
    from bistil_ray.export.card import model_card
    from bistil_ray.export.forms import form_section, form_table
    from bistil_ray.export.origin import origin_of
    from bistil_ray.export.package import FORMATS, ONNX_FILES, load_subject, package
    from bistil_ray.export.publish import check_repository
    from bistil_ray.export.publish import push as upload
    from bistil_ray.export.session import require_onnx
    from bistil_ray.models.hub import locate_model
    from bistil_ray.models.loading import silence_transformers
    from bistil_ray.storage import prepare_folder

    if form not in FORMATS:
        raise ConfigError(f"--format is {form!r}; allowed: {', '.join(FORMATS)}")
    if form in ONNX_FILES:
        require_onnx(f"--format {form}")
    if push is not None:
        check_repository(push)
    renamed = renamed_labels(label_map)
    out = new_folder(out)
    silence_transformers()
    folder = locate_model(model, "MODEL")
    subject, origin = load_subject(folder), origin_of(folder)
    tests = _labelled_sets(subject, origin, task_data, langs, split, task, renamed)
    metric = tests[0].task.metric if tests else "score"
    prepare_folder(str(out.parent), "--out")
    with working(f"Exporting {model} as {form}", quiet):
        forms = package(
            subject,
            form,
            out,
            tests,
            lambda forms: model_card(
                folder,
                origin,
                repository=push,
                licence=licence,
                onnx_file=ONNX_FILES.get(form),
                forms=form_section(forms, metric),
            ),
        )
    if not quiet:
        stderr().print(f"Written to {out}")
    if push is not None:
        with working(f"Uploading to {push}", quiet):
            address = upload(out, push)
        stderr().print(f"Uploaded to {address}")
    if as_json:
        print_json([asdict(measured) for measured in forms])
        return
    columns, rows = form_table(forms, metric)
    print_table(columns, rows, right=columns[1:])


def _labelled_sets(
    subject: Subject,
    origin: Origin | None,
    task_data: str | None,
    langs: str | None,
    split: str,
    task: str | None,
    label_map: dict[str, str],
) -> list[LabelledSet]:
    """Read the test sets that every form is scored on; none without ``task_data``."""
    from bistil_ray.data.examples import task_files
    from bistil_ray.errors import ConfigError
    from bistil_ray.export.package import LabelledSet
    from bistil_ray.languages import parse_languages
    from bistil_ray.models.heads import model_labels
    from bistil_ray.tasks.registry import task_named
    from bistil_ray.tasks.task import read_labelled

    if task_data is None:
        if langs is not None or task is not None:
            raise ConfigError("--langs and --task are for scoring: give --task-data, too")
        return []
    langs = langs or (origin.record.lang if origin else None)
    task = task or (origin.record.task if origin else None)
    if langs is None or task is None:
        raise ConfigError("--task-data needs --langs and --task: no record of a run lies beside the model to tell them")
    kind = task_named(task)
    if kind.head != subject.head.name:
        raise ConfigError(f"--task {task} needs a model for {kind.head}, but MODEL is one for {subject.head.name}")
    renamed = (origin.label_map if origin else {}) | label_map
    labels, longest, sets = model_labels(subject.model), origin.max_length if origin else None, []
    for lang in parse_languages(langs):
        examples = read_labelled(kind, task_files(task_data, lang, split)[split])
        sets.append(LabelledSet(lang, kind, kind.relabel(examples, renamed, labels), longest))
    return sets
