"""The steps on labelled data: task teachers, their scores, students fine-tuned (phase 2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..config import RunConfig
from ..facts import Input, TaskFacts, TeacherFacts
from ..recipes import MERGEDISTILL, RECIPES, phase_2_settings
from ..settings import TaskTeaching
from .assignments import label
from .step import Step, make_step
from .text_steps import Shape


def taught_step(config: RunConfig, task: TaskFacts, teacher: TeacherFacts, needs: Mapping[str, Step]) -> Step:
    """The task teacher that students learn from: the one given for it, or the teacher tuned as ``teach`` says."""
    density = None if teacher.name in task.given else config.teach.density
    return task_teacher_step(config, task, teacher, needs, density)


def task_teacher_step(
    config: RunConfig,
    task: TaskFacts,
    teacher: TeacherFacts,
    needs: Mapping[str, Step],
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
        return make_step("task-teacher", settings, {"checkpoint": given, "teacher": teacher.model}, needs, about)
    settings |= {"sources": list(config.taught_in), "seed": seed}
    phase = config.teach.model_copy(update=_lengths(density, config.teach.epochs, config.teach.sparse_epochs))
    tokens = _tokens(task, phase)
    flops = 6.0 * teacher.body_parameters(teacher.layers) * tokens
    inputs = {"teacher": teacher.model, **_training_inputs(task, config.taught_in)}
    return make_step("task-teacher", settings, inputs, needs, about, phase, tokens, flops)


def tuned_student_step(config: RunConfig, task: TaskFacts, student: Step, density: float) -> Step:
    """A student of several teachers, fine-tuned sparsely by the labels alone, once for all of its languages.

    It takes the place of a task teacher, with the settings of phase 2.
    """
    languages, seed = student.settings["languages"], student.settings["seed"]
    shape = Shape(student.settings["layers"], student.settings["hidden"])
    settings = _task_settings(config, task) | {"sources": list(config.taught_in), "seed": seed}
    tune = config.finetune
    lengths = _lengths(density, tune.dense_epochs, tune.sparse_epochs)
    phase = TaskTeaching(**dict(tune.common), max_length=tune.max_length).model_copy(update=lengths)
    tokens = _tokens(task, phase)
    flops = 6.0 * shape.parameters * tokens
    about = {
        "assignment": label({lang: student.about[f"teacher-{lang}"] for lang in languages}),
        "layers": shape.layers,
        "recipe": MERGEDISTILL,
        "seed": seed,
        "density": density,
    }
    inputs = _training_inputs(task, config.taught_in)
    return make_step("task-teacher", settings, inputs, {"student": student}, about, phase, tokens, flops)


def evaluate_step(config: RunConfig, task: TaskFacts, lang: str, needs: Mapping[str, Step]) -> Step:
    """The undistilled task teacher's scores on one language, or those of a student of several teachers.

    ``needs`` holds ``task_teacher``, the SFTs of source and language if it is adapted to them, for a teacher tuned
    otherwise than the one that students learn from ``evaluate``: the scores of that one, and for a student of several
    teachers ``student`` and, if they are known, the scores of the language's own teacher in ``evaluate``.
    """
    phase = config.finetune if "student" in needs else config.teach
    settings = _task_settings(config, task) | {"lang": lang, "max_length": phase.max_length}
    tuned = needs["task_teacher"].about
    teacher = needs["student"].about[f"teacher-{lang}"] if "student" in needs else tuned["teacher"]
    about = {"lang": lang, "teacher": teacher, **tuned}
    return make_step("evaluate", settings, _scoring_inputs(config, task, lang), needs, about)


def finetune_step(
    config: RunConfig,
    task: TaskFacts,
    teacher: TeacherFacts,
    recipe: str,
    density: float,
    needs: Mapping[str, Step],
) -> Step:
    """Phase 2 at one density.

    ``needs`` holds ``student``, ``task_teacher``, ``evaluate``, SFTs of its languages and, where it learns from plain
    text too, ``pack``.
    """
    student, made = needs["student"], RECIPES[recipe]
    phase = phase_2_settings(made, config.finetune)
    if density == 1:  # nothing has to be chosen
        phase = phase.model_copy(update={"dense_epochs": 0.0})
    lang = student.settings["lang"]
    sources = [code for code in config.taught_in if code in (config.source, lang)]
    settings = _task_settings(config, task) | {
        "lang": lang,
        "sources": sources,
        "under_teacher": made.under_teacher,
        "density": density,
        "seed": student.settings["seed"],
    }
    if phase.text_share:
        settings["block_length"] = config.packing.length
    inputs = {**_training_inputs(task, sources), **_scoring_inputs(config, task, lang)}
    epochs = phase.dense_epochs + phase.sparse_epochs
    in_epoch = task.train_tokens[phase.max_length]
    tokens = int(epochs * sum(in_epoch[code] for code in sources))
    forward = teacher.body_parameters(teacher.layers) if made.under_teacher else 0
    shape = student.settings["layers"], student.settings["hidden"]
    flops = (2.0 * forward + 6.0 * teacher.body_parameters(*shape)) * tokens
    about = {**student.about, "recipe": recipe, "density": density}
    return make_step("finetune", settings, inputs, needs, about, phase, tokens, flops)


def _lengths(density: float | None, dense: float, sparse: float) -> dict[str, float | None]:
    """Give density and epochs of a tuning: whole and in one piece without a density, and at 1, where all may change.

    A length that is then of no use is no part of what the step is.
    """
    if density == 1:
        return {"density": None, "epochs": sparse, "sparse_epochs": 0.0}
    return {"density": density, "epochs": dense, "sparse_epochs": 0.0 if density is None else sparse}


def _tokens(task: TaskFacts, phase: TaskTeaching) -> int:
    epochs = phase.epochs + (0.0 if phase.density is None else phase.sparse_epochs)
    return int(epochs * sum(task.train_tokens[phase.max_length].values()))


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
    """The test sets of target and source, and validation data: the target's own where its labels are learned from."""
    source, target = task.files[config.source], task.files[lang]
    inputs = {"test": target["test"]}
    inputs |= {f"source_{split}": source[split] for split in ("validation", "test") if split in source}
    if lang in config.taught_in and "validation" in target:
        del inputs["source_validation"]
        inputs["validation"] = target["validation"]
    return inputs
