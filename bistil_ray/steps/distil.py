"""Step ``distil``: phase 1, a task-agnostic student for a pair of languages.

Recipe ``bistil`` starts from the teacher's layers and learns its hidden states and attention maps; recipe ``scratch`` is the
baseline: the same shape, vocabulary, text and number of tokens, random weights, masked language modelling.
Product: ``student/``, a masked language model with the teacher's trimmed head, and its tokenizer.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForMaskedLM, PreTrainedModel

from ..data.masking import MaskingVocabulary
from ..models.families import load_masked_lm, load_tokenizer
from ..models.states import align_layers
from ..models.student import build_student, cut_vocabulary
from ..storage import read_result, replacing
from ..train.loop import Objective, Phase, mix, run_phase
from ..train.objectives import Distillation, LabelLearning
from .blocks import BlockStream
from .context import Context, Job
from .examination import Examination
from .pack import block_files


def run(job: Job, context: Context) -> dict[str, Any]:
    """Distil a student, measure it on held-out text, save it."""
    if "student" in job.inputs:
        return {"student": job.inputs["student"], "bits_per_character": {}, "tokens": 0, "seconds": 0.0}
    settings = job.settings
    pack = job.needs["pack"]
    tokenizer = load_tokenizer(str(pack / "tokenizer"))
    teacher = cut_vocabulary(load_masked_lm(job.inputs["teacher"]), np.load(pack / "kept.npy", allow_pickle=False))
    torch.manual_seed(mix(settings["seed"], 0))
    student = _student(teacher, settings)
    objective = _objective(teacher.to(context.device), student.to(context.device), settings)
    vocabulary = MaskingVocabulary.from_tokenizer(tokenizer)
    packed = read_result(pack)["languages"]
    stream = BlockStream(
        files=tuple(block_files(pack, "blocks", lang) for lang in packed),
        batch_size=settings["batch_size"],
        micro_batches=job.runtime.get("accumulation", 1),
        mask=settings["mask"] if settings["recipe"] == "bistil" else max(settings["mask"], 0.15),
        vocabulary=vocabulary,
        seed=settings["seed"],
    )
    examine = Examination(student, pack, vocabulary, settings, context)
    progress = run_phase(
        objective,
        Phase.from_settings(settings, job.runtime, settings["steps"]),
        lambda start: stream.batches(context, start, settings["steps"]),
        checkpoints=job.folder / "checkpoints",
        report=context.report,
        after_step=examine,
        writes=context.rank == 0,
    )
    if context.rank == 0:
        with replacing(job.folder / "student") as folder:
            student.save_pretrained(folder)
            tokenizer.save_pretrained(folder)
    return {
        "student": "student",
        "bits_per_character": examine.measured or examine.measure(),
        "tokens": progress.tokens,
        "seconds": progress.seconds,
        "params": sum(parameter.numel() for parameter in student.parameters()),
        "loss": progress.terms,
    }


def student_folder(step: Path) -> Path:
    """Where the student of a finished ``distil`` step lies."""
    return step / str(read_result(step)["student"])


def _student(teacher: PreTrainedModel, settings: Any) -> PreTrainedModel:  # noqa: ANN401
    student = build_student(teacher, settings["layers"], settings["layer_choice"])
    if settings["recipe"] == "scratch":
        return AutoModelForMaskedLM.from_config(student.config)
    return student


def _objective(teacher: PreTrainedModel, student: PreTrainedModel, settings: Any) -> Objective:  # noqa: ANN401
    student.train()
    if settings["recipe"] == "scratch":
        return LabelLearning(student, "mlm")
    pairs = align_layers(teacher.config.num_hidden_layers, student.config.num_hidden_layers)
    weights = {"hidden": settings["hidden_weight"], "attention": settings["attention_weight"]}
    # The heads take no part: the bare encoders are compared.
    return Distillation(student.base_model, teacher.base_model, pairs, weights)
