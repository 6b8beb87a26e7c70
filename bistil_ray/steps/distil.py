"""Step ``distil``: phase 1, a task-agnostic student for a pair of languages.

Recipe ``bistil`` starts from the teacher's layers and learns its hidden states and attention maps; the other recipes
are the baselines (see ``recipes.py``): the same vocabulary, text and number of tokens. Product: ``student/``, a masked
language model with the teacher's trimmed head, its tokenizer and, for a narrower student, the projections of the
teacher's states.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel

from ..losses.relation import choose_relation_heads
from ..models.families import family_of
from ..models.layers import Alignment, LayerChoice, align_layers
from ..models.loading import load_masked_lm, load_tokenizer
from ..models.made_of import write_made_of
from ..models.projection import save_projections
from ..models.student import cut_vocabulary, vocabulary_names
from ..planning.sharing import corrupted_share
from ..sparse.cut import cut_rows
from ..storage import read_result
from ..teachers.adapted import adapted
from ..teachers.constant import check_states
from ..teachers.shared import Teaching
from ..train.baselines import RelationDistillation, TripleDistillation
from ..train.masked_lm import MaskedLanguageModelling, MaskedTokens
from ..train.objectives import Distillation
from ..train.optim import round_once
from ..train.phase import Objective
from .blocks import a_block
from .context import Context, Job
from .new_student import NewStudent, new_student
from .on_text import train_on_text
from .pack import kept_tokens
from .task_teacher import language_sfts


def run(job: Job, context: Context) -> dict[str, Any]:
    """Distil a student, measure it on held-out text, save it."""
    settings = job.settings
    if "student" in job.inputs:
        nothing_done = {"bits_per_character": {}, "tokens": 0, "seconds": 0.0}
        return {"student": job.inputs["student"], "layer_choice": settings["layer_choice"], **nothing_done}
    pack = job.needs["pack"]
    tokenizer = load_tokenizer(pack / "tokenizer")
    teaching = context.teaching(partial(_teachers, job, pack, context.device))
    student = new_student(teaching.models[0], settings, pack)
    objective = _objective(teaching, student, settings)
    if not teaching.shared:  # else another student may still be made of the teacher's weights
        round_once(teaching.models, settings["precision"])
    result = train_on_text(job, context, objective, student.model, tokenizer, corrupted_share(settings), "student")
    if context.rank == 0:
        write_made_of(
            job.folder / "student", read_result(pack)["languages"], str(job.about.get("teacher")), student.choice
        )
        if student.projections:
            save_projections(student.projections, job.folder / "student")
    return {**result, "layer_choice": student.choice}


def alignment_of(student: PreTrainedModel, teacher: PreTrainedModel, choice: LayerChoice) -> Alignment:
    """Which states and maps of student and teacher are compared, with or without heads, in both phases."""
    family = family_of(teacher.config)
    seen, taught = family_of(student.config).encoder(student).config, family.encoder(teacher).config
    pairs = align_layers(taught.num_hidden_layers, seen.num_hidden_layers, choice)
    return family.comparable_maps(seen, taught, pairs)


def _teachers(job: Job, pack: Path, device: torch.device) -> list[PreTrainedModel]:
    """Load the teacher, cut to the pack's vocabulary, and after it one model for each language it is adapted to."""
    teacher = load_masked_lm(job.inputs["teacher"])
    kept, rows, languages = kept_tokens(pack), vocabulary_names(teacher), list(read_result(pack)["languages"])
    sfts = [cut_rows(sft, kept, rows) for sft in language_sfts(job, teacher, languages)]
    cut_vocabulary(teacher, kept)
    teachers = [model.to(device) for model in (teacher, *(adapted(teacher, sft) for sft in sfts))]
    block = a_block(pack, languages[0])
    for model in teachers:
        check_states(model, block, job.inputs["teacher"])
    return teachers


def _objective(teaching: Teaching, student: NewStudent, settings: Any) -> Objective:  # noqa: ANN401
    teacher, *speakers = teaching.models
    kind, model, look = settings["objective"], student.model, teaching.look
    if kind == "masked-lm":
        return MaskedLanguageModelling(model)
    if kind == "distilmbert":
        return TripleDistillation(model, teacher, look)
    if kind == "relations":
        heads = choose_relation_heads(model.config.hidden_size, teacher.config.hidden_size, settings["relation_heads"])
        layer = settings["relation_layer"]
        last = teacher.config.num_hidden_layers - 1
        layer = last if layer is None else layer
        return RelationDistillation(model.base_model, teacher.base_model, layer, heads, look)
    weights = {"hidden": settings["hidden_weight"], "attention": settings["attention_weight"]}
    pairs = alignment_of(model, teacher, student.choice)
    if not settings["logit_weight"] and not settings["label_weight"]:
        # The heads take no part, as in the paper: the bare encoders are compared.
        bare = [speaker.base_model for speaker in speakers or [teacher]]
        return Distillation(model.base_model, bare, pairs, weights, projections=student.projections, look=look)
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
        look=look,
    )
