"""The steps on labelled data: task teachers, their scores, students fine-tuned (phase 2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..config import RunConfig
from ..facts import Input, TaskFacts, TeacherFacts
from ..recipes import RECIPES
from .step import Step, make_step

# Mean pieces of a labelled sentence: only for estimates of cost.
TOKENS_PER_SENTENCE = 32


def task_teacher_step(
    config: RunConfig,
    task: TaskFacts,
    teacher: TeacherFacts,
    needs: Mapping[str, Step] | None = None,
    density: float | None = None,
    seed: int = 0,
) -> Step:
    """The teacher fine-tuned on the task (with a density sparsely), or the checkpoint given for it.

    ``needs`` holds the SFTs of the languages that it is taught in, where the teacher is adapted to them.
    """
    settings = _task_settings(config, task)
    about = {"teacher": teacher.name, **({} if density is None else {"density": density}), "seed": seed}
    given = task.given.get(teacher.name)
    if given is not None and density is None:
        return make_step("task-teacher", settings, {"checkpoint": given, "teacher": teacher.model}, needs or {}, about)
    settings |= {"sources": list(config.taught_in), "seed": seed}
    epochs = config.teach.epochs + (config.teach.sparse_epochs if density is not None else 0)
    tokens = int(epochs * sum(task.train_rows.values()) * TOKENS_PER_SENTENCE)
    flops = 6.0 * teacher.body_parameters(teacher.layers) * tokens
    inputs = {"teacher": teacher.model, **_training_inputs(task, config.taught_in)}
    # Without a density nothing is sparse: then the length of that phase is no part of what the step is.
    sparse_epochs = 0.0 if density is None else config.teach.sparse_epochs
    phase = config.teach.model_copy(update={"density": density, "sparse_epochs": sparse_epochs})
    return make_step("task-teacher", settings, inputs, needs or {}, about, phase, tokens, flops)


def evaluate_step(config: RunConfig, task: TaskFacts, lang: str, needs: Mapping[str, Step]) -> Step:
    """The undistilled task teacher's scores on one language.

    ``needs`` holds ``task_teacher``, the language's SFT if the teacher is adapted to it, and, for a teacher tuned
    otherwise than the one that students learn from, ``evaluate``: the scores of that one.
    """
    settings = _task_settings(config, task) | {"lang": lang, "max_length": config.teach.max_length}
    about = {"lang": lang, **needs["task_teacher"].about}
    return make_step("evaluate", settings, _scoring_inputs(config, task, lang), needs, about)


def finetune_step(
    config: RunConfig,
    task: TaskFacts,
    teacher: TeacherFacts,
    recipe: str,
    density: float,
    needs: Mapping[str, Step],
) -> Step:
    """Phase 2 at one density; ``needs`` holds ``student``, ``task_teacher``, ``evaluate`` and SFTs of its languages."""
    student = needs["student"]
    lang = student.settings["lang"]
    sources = [code for code in config.taught_in if code in (config.source, lang)]
    settings = _task_settings(config, task) | {
        "lang": lang,
        "sources": sources,
        "under_teacher": RECIPES[recipe].under_teacher,
        "density": density,
        "seed": student.settings["seed"],
    }
    inputs = {**_training_inputs(task, sources), **_scoring_inputs(config, task, lang)}
    epochs = config.finetune.dense_epochs + config.finetune.sparse_epochs
    tokens = int(epochs * sum(task.train_rows[code] for code in sources) * TOKENS_PER_SENTENCE)
    forward = teacher.body_parameters(teacher.layers) if RECIPES[recipe].under_teacher else 0
    shape = student.settings["layers"], student.settings["hidden"]
    flops = (2.0 * forward + 6.0 * teacher.body_parameters(*shape)) * tokens
    about = {**student.about, "recipe": recipe, "density": density}
    return make_step("finetune", settings, inputs, needs, about, config.finetune, tokens, flops)


def _task_settings(config: RunConfig, task: TaskFacts) -> dict[str, Any]:
    return {
        "task": config.task,
        "source": config.source,
        "labels": list(task.labels),
        "label_map": config.label_map,
    }


def _training_inputs(task: TaskFacts, languages: Sequence[str]) -> dict[str, Input]:
    return {f"train-{lang}": task.files[lang]["train"] for lang in languages}


def _scoring_inputs(config: RunConfig, task: TaskFacts, lang: str) -> dict[str, Input]:
    source = task.files[config.source]
    inputs = {"test": task.files[lang]["test"]}
    return inputs | {f"source_{split}": source[split] for split in ("validation", "test") if split in source}
