"""Distance between the self-attention relations of student and teacher (MiniLMv2, Wang et al. 2021).

A relation is the softmax of the scaled products of one layer's queries with themselves, of its keys with themselves, or
of its values. Unlike attention maps, relations of models with other widths and numbers of heads can be compared.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import ModelError
from .attention import valid_pairs
from .by_parts import sum_by_parts
from .precision import at_least_float32

HEAD_SIZE = 16
"""Units in a relation head of the wider model, unless told otherwise: 48 heads for 768 units, 64 for 1,024."""


def choose_relation_heads(student_width: int, teacher_width: int, wanted: int | None = None) -> int:
    """The number of relation heads for models of these widths: ``wanted`` if it divides both, ModelError if not.

    By default the most heads that divide both and leave the teacher at least ``HEAD_SIZE`` units in each.
    """
    common = math.gcd(student_width, teacher_width)
    if wanted is None:
        return max(heads for heads in range(1, max(teacher_width // HEAD_SIZE, 1) + 1) if common % heads == 0)
    if wanted < 1 or common % wanted:
        allowed = ", ".join(str(heads) for heads in range(1, common + 1) if common % heads == 0)
        raise ModelError(
            f"{wanted} relation heads do not divide the widths {student_width} of the student and {teacher_width} of "
            f"the teacher; allowed: {allowed} (--set distil.relation_heads)"
        )
    return wanted


def relation_divergence(
    student: Sequence[Tensor],
    teacher: Sequence[Tensor],
    relation_heads: int,
    valid_BT: Tensor | None = None,
    positions: Tensor | float | None = None,
) -> Tensor:
    """KL divergence of the student's relations from the teacher's: over heads, positions, then kinds of relations.

    ``student`` and ``teacher`` are the queries, keys and values of one layer, each of shape BHTd; number and size of
    the heads may differ between the two. The vectors of all heads of a position are joined and divided anew into
    ``relation_heads`` (R), so only the size of these differs.

    ``valid_BT`` (bool or 0/1) says which positions count, as queries and as keys; None counts all. ``positions`` is the
    number the sum is divided by, by default the valid positions of this batch; with the count of the whole step, over
    all micro-batches and workers, the parts add up to the whole.

    No relation is ever whole in memory: they are computed a few sequences at a time.

    ``(1 / kinds) * sum over kinds, heads, queries and keys of t * log(t / s) / (R * positions)`` in float32 at least,
    even under autocast, with the probabilities t of the teacher and s of the student.

    Raises ValueError if the two sides differ in number, or a width is no multiple of ``relation_heads``.
    """
    if len(student) != len(teacher) or not student:
        raise ValueError(f"{len(student)} kinds of vectors of the student against {len(teacher)} of the teacher")
    if positions is None:
        batch, _, length, _ = student[0].shape
        positions = batch * length if valid_BT is None else valid_BT.sum().clamp(min=1)
    pairs_BTT = None if valid_BT is None else valid_pairs(valid_BT)
    length = student[0].shape[2]
    kinds = [
        sum_by_parts(
            partial(_divergence, relation_heads),
            (ours_BHTd, theirs_BHTd, pairs_BTT),
            entries=relation_heads * length**2,
        )
        for ours_BHTd, theirs_BHTd in zip(student, teacher, strict=True)
    ]
    return torch.stack(kinds).mean() / (relation_heads * positions)


def _divergence(relation_heads: int, ours_BHTd: Tensor, theirs_BHTd: Tensor, pairs_BTT: Tensor | None) -> Tensor:
    return F.kl_div(
        _log_relations(ours_BHTd, relation_heads, pairs_BTT),
        _log_relations(theirs_BHTd, relation_heads, pairs_BTT),
        reduction="sum",
        log_target=True,
    )


def _log_relations(vectors_BHTd: Tensor, relation_heads: int, pairs_BTT: Tensor | None) -> Tensor:
    """Logarithms of the probabilities (B, relation heads, T, T), the last axis the keys."""
    joined_BTD = at_least_float32(vectors_BHTd).transpose(1, 2).flatten(2)
    if joined_BTD.shape[-1] % relation_heads:
        raise ValueError(f"vectors of {joined_BTD.shape[-1]} units for {relation_heads} relation heads")
    divided_BRTr = joined_BTD.unflatten(-1, (relation_heads, -1)).transpose(1, 2)
    with torch.autocast(divided_BRTr.device.type, enabled=False):
        scores_BRTT = divided_BRTr @ divided_BRTr.transpose(2, 3) / math.sqrt(divided_BRTr.shape[-1])
    if pairs_BTT is not None:
        # A padded query finds no key and so looks at all alike, in both models: its divergence is 0. The least number
        # instead of minus infinity keeps 0 * log 0 a number.
        scores_BRTT = scores_BRTT.masked_fill(~pairs_BTT.unsqueeze(1), torch.finfo(scores_BRTT.dtype).min)
    return scores_BRTT.log_softmax(dim=-1)
