"""Step ``task-teacher``: the teacher fine-tuned on the task, wholly or sparsely, or a given checkpoint.

A student of several teachers (``student`` in what it needs) is fine-tuned in the same way, with a tokenizer for each
language. Product: ``model/`` with tokenizer, without the language SFTs under which it was trained; a given checkpoint
stays where it is and the result points to it. A given SFT of the task becomes a model.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel

from ..models.heads import check_labels, head_parameters, load_model, model_labels, new_model
from ..models.language_tokenizers import copy_tokenizers
from ..models.loading import load_tokenizer
from ..sparse.delta import SparseDelta, apply_delta
from ..sparse.files import load_delta
from ..sparse.given import fit_delta, is_sft, load_sft
from ..storage import read_result, replacing
from ..train.loop import run_phase
from ..train.objectives import LabelLearning
from ..train.phase import Progress
from ..train.seeds import mix
from ..train.sparse_tuning import SparseTuning, tune_sparsely
from .adapt import sft_folder
from .context import Context, Job
from .labelled import task_of, training_stream
from .new_student import student_folder
from .training import phase_of, surroundings


def run(job: Job, context: Context) -> dict[str, Any]:
    """Fine-tune on the labels of every source language, each under its language SFT where there is one."""
    settings, labels = job.settings, tuple(job.settings["labels"])
    if "checkpoint" in job.inputs:
        return _take_given(job, labels)
    task = task_of(job)
    student = job.needs.get("student")
    place = Path(job.inputs["teacher"]) if student is None else student_folder(student)
    model = new_model(task.head, place, labels, mix(settings["seed"], 2)).to(context.device)
    model.train()
    sfts = [sft.to(context.device) for sft in language_sfts(job, model, settings["sources"])]
    objective = LabelLearning(model, task, sfts)
    stream = training_stream(job, place, labels)
    dense, sparse = (
        phase_of(job, stream.steps(settings[name]), settings["sources"]) for name in ("epochs", "sparse_epochs")
    )
    batches, around = partial(stream.batches, context), surroundings(job, context)
    done: Progress | SparseTuning
    if settings["density"] is None:
        done = run_phase(objective, dense, lambda start: batches(start, dense.steps), around)
    else:
        done = tune_sparsely(
            objective,
            batches,
            dense,
            sparse,
            around,
            density=settings["density"],
            head=head_parameters(model),
        )
    if context.rank == 0:
        with replacing(job.folder / "model") as folder:
            model.save_pretrained(folder)
            copy_tokenizers(place, folder)
    before = {"tokens": 0, "seconds": 0.0} if student is None else read_result(student)
    return {
        "model": "model",
        "tokens": before["tokens"] + done.tokens,
        "seconds": before["seconds"] + done.seconds,
        "loss": done.terms,
    }


def load_task_teacher(step: Path, head: str) -> tuple[PreTrainedModel, Path]:
    """Load the model of a finished ``task-teacher`` step; give it and its folder."""
    folder = step / read_result(step)["model"]
    return load_model(head, folder), folder


def language_sfts(job: Job, model: PreTrainedModel, languages: Iterable[str]) -> list[SparseDelta]:
    """Read the language SFTs that a step needs (roles ``sft-<lang>``), named as in ``model``; none if it needs none."""
    return [
        fit_delta(load_delta(sft_folder(job.needs[f"sft-{lang}"])), model, f"the SFT of {lang}")
        for lang in languages
        if f"sft-{lang}" in job.needs
    ]


def _take_given(job: Job, labels: tuple[str, ...]) -> dict[str, Any]:
    checkpoint, head = job.inputs["checkpoint"], task_of(job).head
    taken = {"model": str(Path(checkpoint).absolute()), "tokens": 0, "seconds": 0.0, "loss": {}}
    if not is_sft(Path(checkpoint)):
        model = load_model(head, checkpoint)
        if labels:
            check_labels(checkpoint, model_labels(model), labels)
        return taken
    model = new_model(head, job.inputs["teacher"], labels, seed=0)
    sft = load_sft(checkpoint, "task_teacher", {"task": job.settings["task"]})
    apply_delta(model, fit_delta(sft, model, checkpoint))
    with replacing(job.folder / "model") as folder:
        model.save_pretrained(folder)
        load_tokenizer(job.inputs["teacher"]).save_pretrained(folder)
    return taken | {"model": "model"}
