"""``bistil-ray finetune``: phase 2 alone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..options import TASK_HELP

if TYPE_CHECKING:
    from bistil_ray.planning.step import Step

EPILOG = "Example: bistil-ray finetune --student student/ --teacher TEACHER --task-data ner/ --lang sw --out sw-ner/"


def finetune(
    student: Annotated[str, typer.Option(help="A phase-1 student: the folder that distill wrote.")],
    teacher: Annotated[str, typer.Option(help="The teacher it was distilled from: a hub id or a folder.")],
    task_data: Annotated[str, typer.Option(help="Where <lang>/{train,validation,test}.parquet lie.")],
    out: Annotated[Path, typer.Option(help="New folder for the model.")],
    task: Annotated[str, typer.Option(help=TASK_HELP)] = "ner",
    source: Annotated[str, typer.Option(help="The language of the labels.")] = "en",
    lang: Annotated[str | None, typer.Option(help="The language to score; the source if not given.")] = None,
    density: Annotated[float, typer.Option(help="Share of the encoder that may change.")] = 0.08,
    seed: Annotated[int, typer.Option(help="Random seed.")] = 0,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="key=value, such as finetune.sparse_epochs=5.")
    ] = None,
) -> None:
    """Fine-tune a student sparsely on a task under a task-tuned teacher; writes the merged model and its SFT (sft/)."""
    from bistil_ray.config_sources import load_config
    from bistil_ray.errors import ConfigError
    from bistil_ray.facts import Facts
    from bistil_ray.inputs import (
        display_names,
        look_at_language_sfts,
        look_at_student,
        look_at_task,
        look_at_teacher,
    )
    from bistil_ray.planning.plan import add_language_sfts, sfts_of
    from bistil_ray.planning.task_steps import evaluate_step, finetune_step, task_teacher_step
    from bistil_ray.planning.text_steps import given_student_step

    from .single import carry_out, only_language

    flags = {
        "teacher": [teacher], "lang": lang or source, "source": source, "corpora": "", "task": task,
        "task_data": task_data, "density": density, "seed": seed,
    }  # fmt: skip
    config = load_config(None, settings or [], flags)
    target = only_language(config)
    given, shape = look_at_student(student)
    lengths = {"teach.max_length": config.teach.max_length, "finetune.max_length": config.finetune.max_length}
    facts = look_at_teacher(teacher, display_names([teacher])[teacher], lengths, "--teacher")
    data = look_at_task(config)
    if config.adapt.enabled:
        raise ConfigError("this command has no text to adapt a teacher to: give its SFTs (--set language_sfts=...)")
    steps: dict[str, Step] = {}
    known = Facts([facts], {}, data, look_at_language_sfts(config))
    languages = dict.fromkeys((*config.taught_in, target))
    sfts = add_language_sfts(config, known, facts, languages, lambda step: steps.setdefault(step.key, step))
    taught = task_teacher_step(config, data, facts, sfts_of(sfts, config.taught_in), config.teach.density)
    scored = evaluate_step(config, data, target, {"task_teacher": taught, **sfts_of(sfts, [target])})
    taken = given_student_step(given, shape, facts.name, target, seed)
    needs = {"student": taken, "task_teacher": taught, "evaluate": scored, **sfts_of(sfts, config.taught_in)}
    step = finetune_step(config, data, facts, "bistil", density, needs)
    carry_out(
        [*steps.values(), taught, scored, taken, step],
        out,
        lambda folder: folder / step.key / "model",
        lambda folder: folder / step.key / "sft",
    )
