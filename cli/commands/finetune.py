"""``bistil-ray finetune``: phase 2 alone."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..options import TASK_HELP

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
    from bistil_ray.inputs import display_names, look_at_student, look_at_task, look_at_teacher
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
    taught = task_teacher_step(config, data, facts, density=config.teach.density)
    scored = evaluate_step(config, data, target, {"task_teacher": taught})
    taken = given_student_step(given, shape, facts.name, target, seed)
    needs = {"student": taken, "task_teacher": taught, "evaluate": scored}
    step = finetune_step(config, data, facts, "bistil", density, needs)
    carry_out(
        [taught, scored, taken, step],
        out,
        lambda folder: folder / step.key / "model",
        lambda folder: folder / step.key / "sft",
    )
