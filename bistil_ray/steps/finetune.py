"""Step ``finetune``: phase 2, the student sparsely fine-tuned on the task under the task teacher (LT-SFT).

Full fine-tuning first; the parameters that moved most are kept at the wanted density, everything is put back to its
start, and only those are tuned again; the task head is dense. Product: ``sft/`` (the sparse difference to the phase-1
student) and ``model/`` (student and SFT merged, with tokenizer).
"""

from __future__ import annotations

from typing import Any

import torch
from transformers import PreTrainedModel

from ..data.fingerprint import content_fingerprint
from ..models.families import load_tokenizer
from ..models.states import align_layers
from ..models.student import cut_vocabulary
from ..models.taggers import model_labels, new_tagger
from ..sparse.delta import extract_delta, save_delta
from ..sparse.select import select_changes
from ..storage import read_result, replacing
from ..train.loop import Phase, Progress, mix, run_phase
from ..train.objectives import Distillation
from ..vocab.match import kept_by_name
from .context import Context, Job
from .distil import student_folder
from .scoring import make_record, read_sentences, score
from .sentences import SentenceStream
from .task_teacher import load_task_teacher


def run(job: Job, context: Context) -> dict[str, Any]:
    """Fine-tune, merge, score; the result holds the record of this student."""
    settings = job.settings
    distilled_folder = str(student_folder(job.needs["student"]))
    tokenizer = load_tokenizer(distilled_folder)
    teacher, teacher_folder = load_task_teacher(job.needs["task_teacher"])
    labels = model_labels(teacher)
    cut_vocabulary(teacher, kept_by_name(load_tokenizer(str(teacher_folder)), tokenizer))
    student = new_tagger(distilled_folder, labels, mix(settings["seed"], 2)).to(context.device)
    student.train()
    distilled = read_result(job.needs["student"])
    pairs = align_layers(teacher.config.num_hidden_layers, student.config.num_hidden_layers)
    weights = {name: settings[f"{name}_weight"] for name in ("hidden", "attention")} | {
        "logits": settings["logit_weight"]
    }
    objective = Distillation(student, teacher.to(context.device), pairs, weights, settings["temperature"])
    stream = SentenceStream(
        read_sentences(job, "train", labels), tokenizer, labels, settings["max_length"], settings["batch_size"],
        job.runtime.get("accumulation", 1), settings["seed"],
    )  # fmt: skip
    before = {name: parameter.detach().clone() for name, parameter in student.named_parameters()}
    dense, sparse = _tune(job, context, objective, stream, before)
    head = [name for name in before if not name.startswith(student.base_model_prefix + ".")]
    model_folder = job.folder / "model"
    result: dict[str, Any] = {}
    scores: dict[str, Any] = {}
    if context.rank == 0:
        meta = {
            "base_model": job.needs["student"].name,
            "base_fingerprint": content_fingerprint(distilled_folder),
            "task": settings["task"],
            "density": settings["density"],
            "method": "lt-sft",
        }
        delta = extract_delta(before, dict(student.named_parameters()), head, meta)
        save_delta(delta, job.folder / "sft")
        with replacing(model_folder) as folder:
            student.save_pretrained(folder)
            tokenizer.save_pretrained(folder)
        scores = score(student, tokenizer, job)
        teacher_score = read_result(job.needs["evaluate"])["record"]["score"]
        more = {
            "teacher_score": teacher_score,
            "retention": scores["score"] / teacher_score if teacher_score else None,
            "tokens": distilled["tokens"] + dense.tokens + sparse.tokens,
            "seconds": distilled["seconds"] + dense.seconds + sparse.seconds,
        }
        record = make_record(job, student, model_folder, scores, more)
        result = {"record": record, "by_type": scores["by_type"], "bits_per_character": distilled["bits_per_character"]}
    context.report({"step": sparse.step, "tokens": sparse.tokens, "score": scores.get("score")})
    return result


def _tune(
    job: Job, context: Context, objective: Distillation, stream: SentenceStream, before: dict[str, torch.Tensor]
) -> tuple[Progress, Progress]:
    """Run LT-SFT's two phases on ``objective.model``, which ends with the sparse solution."""
    student = objective.model
    settings = job.settings

    def tune(name: str, epochs: float, masks: dict[str, torch.Tensor] | None) -> Progress:
        phase = Phase.from_settings(settings, job.runtime, stream.steps(epochs))
        return run_phase(
            objective,
            phase,
            lambda start: stream.batches(context, start, phase.steps),
            checkpoints=job.folder / "checkpoints" / name,
            report=lambda metrics: context.report({"phase": name, **metrics}),
            masks=masks,
            writes=context.rank == 0,
        )

    dense = tune("dense", settings["dense_epochs"], None)
    masks = _choose(student, before, settings["density"])
    with torch.no_grad():
        for name, parameter in student.named_parameters():
            parameter.copy_(before[name])
    return dense, tune("sparse", settings["sparse_epochs"], masks)


def _choose(student: PreTrainedModel, before: dict[str, torch.Tensor], density: float) -> dict[str, torch.Tensor]:
    prefix = student.base_model_prefix + "."
    encoder = {name: value for name, value in before.items() if name.startswith(prefix)}
    after = {name: parameter.detach() for name, parameter in student.named_parameters() if name.startswith(prefix)}
    return select_changes(encoder, after, density)
