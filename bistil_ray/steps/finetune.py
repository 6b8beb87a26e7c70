"""Step ``finetune``: phase 2, the student sparsely fine-tuned on the task (LT-SFT), by the task teacher or by labels.

Product: ``sft/`` (the sparse difference to the phase-1 student, with the head whole) and ``model/`` (student and SFT
merged, with tokenizer).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from ..data.fingerprint import content_fingerprint
from ..models.heads import head_parameters, model_inputs, model_labels, new_model
from ..models.loading import load_tokenizer
from ..models.look import Look
from ..models.projection import load_projections
from ..models.student import cut_vocabulary
from ..sparse.delta import extract_delta
from ..sparse.files import save_delta
from ..storage import read_result, replacing
from ..teachers.adapted import adapted
from ..teachers.constant import check_varies
from ..teachers.shared import Teaching
from ..train.objectives import Distillation, LabelLearning, TextBesides
from ..train.optim import autocast, round_once
from ..train.phase import Batch, Objective
from ..train.seeds import mix
from ..train.sparse_tuning import SparseTuning, tune_sparsely
from ..vocab.match import kept_by_name
from .context import Context, Job, LocalContext
from .distil import alignment_of
from .labelled import task_of, training_stream
from .new_student import student_folder
from .scoring import make_record, score
from .task_teacher import language_sfts, load_task_teacher
from .text_besides import with_text
from .training import phase_of, surroundings

ROWS_TO_DIFFER = 4
"""The same of the same is no fault of a teacher, and decisions about two rows may be rounded to the same in bf16."""


def run(job: Job, context: Context) -> dict[str, Any]:
    """Fine-tune, merge, score; the result holds the record of this student."""
    settings = job.settings
    distilled_folder = student_folder(job.needs["student"])
    tokenizer = load_tokenizer(distilled_folder)
    besides = bool(settings["text_share"])
    languages = list(dict.fromkeys([*settings["sources"], *([settings["lang"]] if besides else [])]))
    load = partial(_task_teachers, job, tokenizer, languages, context.device)
    teachers, look, _ = context.teaching(load) if settings["under_teacher"] else Teaching([])
    # A task teacher that was given may have its labels in another order than the data.
    labels = model_labels(teachers[0]) if teachers and settings["labels"] else tuple(settings["labels"])
    student = new_model(task_of(job).head, distilled_folder, labels, mix(settings["seed"], 2)).to(context.device)
    student.train()
    objective = _objective(job, student, teachers, look)
    examples = training_stream(job, distilled_folder, labels)
    _check_teachers(job, teachers, next(examples.batches(LocalContext(), 0, 1))[0])
    # At density 1 there is nothing to choose, and the plan leaves the dense epochs out.
    dense = examples.steps(settings["dense_epochs"]) if settings["dense_epochs"] else 0
    sparse = examples.steps(settings["sparse_epochs"])
    batches = examples.batches
    if besides:
        batches = with_text(job, examples, tokenizer, languages.index(settings["lang"]), max(dense, sparse)).batches
    round_once(teachers, settings["precision"])

    def in_turn(start: int, stop: int) -> Iterator[list[Batch]]:
        for step, batch in enumerate(batches(context, start, stop), start):
            context.take_turn(step)
            yield batch

    tuning = tune_sparsely(
        objective,
        in_turn,
        phase_of(job, dense, languages) if dense else None,
        replace(phase_of(job, sparse, languages), average=settings["average"]),
        surroundings(job, context),
        density=settings["density"],
        head=head_parameters(student),
        once=partial(context.in_common, f"dense phase of {distilled_folder}"),
    )
    result = _finish(job, student, tokenizer, tuning) if context.rank == 0 else {}
    reached = result["record"]["score"] if result else None
    context.report({"step": tuning.sparse.step, "tokens": tuning.tokens, "score": reached})
    return result


def _task_teachers(
    job: Job, tokenizer: PreTrainedTokenizerFast, languages: list[str], device: torch.device
) -> list[PreTrainedModel]:
    """Load the task teacher, cut to the student's vocabulary; if it is adapted, one for each of the languages."""
    teacher, folder = load_task_teacher(job.needs["task_teacher"], task_of(job).head)
    sfts = language_sfts(job, teacher, languages)
    kept = kept_by_name(load_tokenizer(folder), tokenizer)
    speakers = [adapted(teacher, sft) for sft in sfts] or [teacher]
    return [cut_vocabulary(speaker, kept).to(device) for speaker in speakers]


@torch.no_grad()
def _check_teachers(job: Job, teachers: Sequence[PreTrainedModel], batch: Batch) -> None:
    if len(batch["input_ids"].unique(dim=0)) < ROWS_TO_DIFFER:
        return
    task = task_of(job)
    for teacher in teachers:
        moved = {name: value.to(teacher.device) for name, value in batch.items()}
        with autocast(job.settings["precision"], teacher.device):  # those that are shared may be rounded by now
            decided = task.logits(teacher(**model_inputs(teacher, moved)), moved)
        for name, logits_NC in decided.items():
            check_varies(logits_NC, f"{name} scores", str(job.needs["task_teacher"]))


def _objective(job: Job, student: PreTrainedModel, teachers: Sequence[PreTrainedModel], look: Look) -> Objective:
    settings, student_step, task = job.settings, job.needs["student"], task_of(job)
    if not teachers:
        return LabelLearning(student, task)
    labelled = Distillation(
        student,
        teachers,
        alignment_of(student, teachers[0], read_result(student_step).get("layer_choice", "regular")),
        {
            "hidden": settings["hidden_weight"],
            "attention": settings["attention_weight"],
            "logits": settings["logit_weight"],
            "labels": settings["label_weight"],
        },
        task,
        settings["temperature"],
        load_projections(student_folder(student_step)),
        look=look,
    )
    return TextBesides.of(labelled, decides=bool(task.asked_about_text(1))) if settings["text_share"] else labelled


def _finish(
    job: Job, student: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, tuning: SparseTuning
) -> dict[str, Any]:
    """Write the SFT and the merged model, score it, and put its record together."""
    settings, step, distilled = job.settings, job.needs["student"], read_result(job.needs["student"])
    base = student_folder(step)
    meta = {
        # A student that was given keeps its name; that of a step is the step's.
        "base_model": step.name if base.is_relative_to(step) else str(base),
        "base_fingerprint": content_fingerprint(str(base)),
        "task": settings["task"],
        "density": settings["density"],
        "method": "lt-sft",
    }
    after = dict(student.named_parameters())
    save_delta(extract_delta(tuning.before, after, head_parameters(student), meta), job.folder / "sft")
    model_folder: Path = job.folder / "model"
    with replacing(model_folder) as folder:
        student.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    scores = score(dict.fromkeys((settings["source"], settings["lang"]), student), model_folder, job)
    more = {
        "tokens": distilled["tokens"] + tuning.tokens,
        "seconds": distilled["seconds"] + tuning.seconds,
    }
    record = make_record(job, student, model_folder, scores, more)
    return {"record": record, "details": scores["details"], "bits_per_character": distilled["bits_per_character"]}
