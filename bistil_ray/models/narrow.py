"""A narrower student: the weights of a student of the teacher's width, written in the bases that states are projected on.

With projections P_0, P_1, ... (D, width), a student's state is to be ``h_i P_i``. So embeddings become ``E P_0``, what
reads state i reads ``W P_i`` and what writes to it writes ``P_i^T W``. Residual connections carry coordinates on as they
are, from state i to i + 1, and LayerNorm works on each by itself: neither is exact, which is why neighbouring
projections should have nearly the same basis (see ``state_projections``). Training takes it from there.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from math import gcd
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from ..errors import ModelError
from .families import BERT, ROBERTA, XLM_ROBERTA, family_of

NARROWED = (BERT, ROBERTA, XLM_ROBERTA)


@torch.no_grad()
def narrow_student(student: PreTrainedModel, projections: Sequence[Tensor]) -> PreTrainedModel:
    """A masked language model of the student's class in the width of ``projections``, which starts close to it.

    ``projections`` (D, width), orthonormal, are those of the student's states: one for the embeddings and one for each
    layer. The feed-forward layers shrink with the width, to the units that move the state most. There are as many
    heads as before where the width divides by their number, otherwise the most that divide both; each starts from
    the mean scores of a group of neighbouring heads (compare ``losses.attention.group_heads``).

    ModelError for families and heads this is not written for.
    """
    family = family_of(student.config)
    if family not in NARROWED or family.output(student) is None:
        allowed = ", ".join(allowed.name for allowed in NARROWED)
        raise ModelError(
            f"a {type(student).__name__} cannot be made narrower; allowed: masked language models of type {allowed}, "
            "others keep their teacher's width (--hidden)"
        )
    config = copy.deepcopy(student.config)
    bases = [projection.double().to(student.device) for projection in projections]
    config.hidden_size = bases[0].shape[1]
    config.num_attention_heads = gcd(config.hidden_size, config.num_attention_heads)
    config.intermediate_size = round(config.intermediate_size * config.hidden_size / bases[0].shape[0])
    # Every random starting weight is overwritten below: leave the caller's random numbers as they were.
    with torch.random.fork_rng(devices=[]):
        narrow = type(student)(config).to(device=student.device, dtype=student.dtype)
    narrow.train(student.training)

    _narrow_embeddings(family.embeddings(narrow), family.embeddings(student), bases[0])
    for index, (ours, theirs) in enumerate(zip(family.layers(narrow), family.layers(student), strict=True)):
        _narrow_layer(ours, theirs, bases[index], bases[index + 1], config.num_attention_heads)
    return narrow
