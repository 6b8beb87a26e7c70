"""Step ``distil``: phase 1, a task-agnostic student for a pair of languages.

Recipe ``bistil`` starts from the teacher's layers and learns its hidden states and attention maps; the other recipes
are the baselines (see ``recipes.py``): the same vocabulary, text and number of tokens. Product: ``student/``, a masked
language model with the teacher's trimmed head, its tokenizer and, for a narrower student, the projections of the
teacher's states.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel

from ..losses.relation import choose_relation_heads
from ..models.families import family_of
from ..models.layers import Alignment, LayerChoice, align_layers
from ..models.loading import load_masked_lm, load_tokenizer
from ..models.projection import save_projections
from ..models.student import cut_vocabulary, vocabulary_names
from ..sparse.cut import cut_rows
from ..storage import read_result
from ..teachers.adapted import adapted
from ..teachers.constant import check_states
from ..train.baselines import RelationDistillation, TripleDistillation
from ..train.loop import Objective
from ..train.masked_lm import MaskedLanguageModelling, MaskedTokens
from ..train.objectives import Distillation
from .blocks import held_out_blocks
from .context import Context, Job
from .new_student import NewStudent, new_student
from .on_text import train_on_text
from .task_teacher import language_sfts

LEAST_MASK = 0.15
"""A masked language model needs something to predict, even where distillation corrupts nothing."""


def run(job: Job, context: Context) -> dict[str, Any]:
    """Distil a student, measure it on held-out text, save it."""
    if "student" in job.inputs:
        return {"student": job.inputs["student"], "bits_per_character": {}, "tokens": 0, "seconds": 0.0}
    settings, pack = job.settings, job.needs["pack"]
    tokenizer = load_tokenizer(str(pack / "tokenizer"))
    teacher, *speakers = (model.to(context.device) for model in _teachers(job, pack))
    _check_teachers([teacher, *speakers], job)
    student = new_student(teacher, settings, pack)
    objective = _objective(teacher, speakers, student, settings)
    predicts = settings["objective"] != "states" or settings["logit_weight"] or settings["label_weight"]
    mask = max(settings["mask"], LEAST_MASK) if predicts else settings["mask"]
    result = train_on_text(job, context, objective, student.model, tokenizer, mask, "student")
    if student.projections and context.rank == 0:
        save_projections(student.projections, job.folder / "student")
    return {**result, "layer_choice": student.choice}


def alignment_of(student: PreTrainedModel, teacher: PreTrainedModel, choice: LayerChoice) -> Alignment:
    """Which states and maps of student and teacher are compared, with or without heads, in both phases."""
    family = family_of(teacher.config)
    seen, taught = family_of(student.config).encoder(student).config, family.encoder(teacher).config
    pairs = align_layers(taught.num_hidden_layers, seen.num_hidden_layers, choice)
    return family.comparable_maps(seen, taught, pairs)


def _teachers(job: Job, pack: Path) -> list[PreTrainedModel]:
    """Load the teacher, cut to the pack's vocabulary, and after it one model for each language it is adapted to."""
    teacher = load_masked_lm(job.inputs["teacher"])
    kept = np.load(pack / "kept.npy", allow_pickle=False)
    rows = vocabulary_names(teacher)
    sfts = [cut_rows(sft, kept, rows) for sft in language_sfts(job, teacher, list(read_result(pack)["languages"]))]
    cut_vocabulary(teacher, kept)
    return [teacher, *(adapted(teacher, sft) for sft in sfts)]


def _check_teachers(teachers: list[PreTrainedModel], job: Job) -> None:
    pack = job.needs["pack"]
    lang = next(iter(read_result(pack)["languages"]))
    block = torch.from_numpy(held_out_blocks(pack, lang, most=1).astype(np.int64))
    for teacher in teachers:
        check_states(teacher, block, job.inputs["teacher"])


def _objective(
    teacher: PreTrainedModel,
    speakers: list[PreTrainedModel],
    student: NewStudent,
    settings: Any,  # noqa: ANN401
) -> Objective:
    kind, model = settings["objective"], student.model
    if kind == "masked-lm":
        return MaskedLanguageModelling(model)
    if kind == "distilmbert":
        return TripleDistillation(model, teacher)
    if kind == "relations":
        heads = choose_relation_heads(model.config.hidden_size, teacher.config.hidden_size, settings["relation_heads"])
        layer = settings["relation_layer"]
        last = teacher.config.num_hidden_layers - 1
        return RelationDistillation(model.base_model, teacher.base_model, last if layer is None else layer, heads)
    weights = {"hidden": settings["hidden_weight"], "attention": settings["attention_weight"]}
    pairs = alignment_of(model, teacher, student.choice)
    if not settings["logit_weight"] and not settings["label_weight"]:
        # The heads take no part, as in the paper: the bare encoders are compared.
        bare = [speaker.base_model for speaker in speakers or [teacher]]
        return Distillation(model.base_model, bare, pairs, weights, projections=student.projections)
    weights |= {"logits": settings["logit_weight"], "labels": settings["label_weight"]}
    tokens = MaskedTokens()
    return Distillation(
        model,
        speakers or [teacher],
        pairs,
        weights,
        tokens,
        settings["temperature"],
        student.projections,
        tokens.places,
    )
