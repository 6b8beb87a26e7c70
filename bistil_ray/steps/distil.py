"""Step ``distil``: phase 1, a task-agnostic student for a pair of languages.

Recipe ``bistil`` starts from the teacher's layers and learns its hidden states and attention maps; recipe ``scratch``
is the baseline: the same shape, vocabulary, text and number of tokens, random weights, masked language modelling.
Product: ``student/``, a masked language model with the teacher's trimmed head, and its tokenizer.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForMaskedLM, PreTrainedModel

from ..models.families import load_masked_lm, load_tokenizer
from ..models.states import align_layers
from ..models.student import build_student, cut_vocabulary
from ..storage import read_result
from ..train.loop import Objective, mix
from ..train.objectives import Distillation, LabelLearning
from .context import Context, Job
from .on_text import train_on_text

LEAST_MASK = 0.15
"""A masked language model needs something to predict, even where distillation corrupts nothing."""


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
    mask = settings["mask"] if settings["recipe"] == "bistil" else max(settings["mask"], LEAST_MASK)
    return train_on_text(job, context, objective, student, tokenizer, mask, "student")


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
