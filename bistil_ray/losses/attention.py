"""Distance between the attention probabilities of student and teacher.

``attention_mse`` is the loss to use; ``attention_mse_of_vectors`` is the same of queries and keys, for which no map
is ever whole in memory. The two functions with ``reference`` in their names behave as the published code of BISTIL
does, so that its numbers can be compared with.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from .by_parts import sum_by_parts
from .precision import at_least_float32


class Vectors(NamedTuple):
    """What a layer's attention is computed from: its vectors (BHTd), and who may look where (bool B1TT; None: all)."""

    query: Tensor
    key: Tensor
    value: Tensor
    mask: Tensor | None = None


def attention_map(
    query_BHTd: Tensor,
    key_BHTd: Tensor,
    mask_B1TT: Tensor | None,
    scale: float | None = None,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """Attention probabilities BHTT: the softmax of scaled products over the keys that the mask allows (True).

    ``scale`` is by default one over the root of d. In float32 at least, or rounded to ``dtype``, which is then what is
    kept for the gradients, too.
    """
    # Divided, not multiplied by the inverse: very sharp attention shows the last bit of the scores.
    scores_BHTT = torch.matmul(query_BHTd, key_BHTd.transpose(2, 3)).div_(_divisor(query_BHTd, scale))
    if mask_B1TT is not None:
        scores_BHTT = scores_BHTT.masked_fill_(~mask_B1TT, torch.finfo(scores_BHTT.dtype).min)
    return scores_BHTT.softmax(dim=-1, dtype=dtype or torch.promote_types(scores_BHTT.dtype, torch.float32))


def gradients_through_map(
    map_BHTT: Tensor, gradient_BHTT: Tensor, query_BHTd: Tensor, key_BHTd: Tensor, scale: float | None = None
) -> tuple[Tensor, Tensor]:
    """Gradients BHTd of queries and keys, given their ``attention_map`` and its gradient, both of one precision."""
    scores_BHTT = torch._softmax_backward_data(gradient_BHTT, map_BHTT, -1, map_BHTT.dtype).to(query_BHTd.dtype)
    divisor = _divisor(query_BHTd, scale)
    return (
        torch.matmul(scores_BHTT, key_BHTd).div_(divisor),
        torch.matmul(scores_BHTT.transpose(2, 3), query_BHTd).div_(divisor),
    )


def valid_pairs(valid_BT: Tensor) -> Tensor:
    """Which (query, key) pairs count, bool BTT: both are real tokens."""
    valid_BT = valid_BT.bool()
    return valid_BT.unsqueeze(2) & valid_BT.unsqueeze(1)


def attention_mse(
    student: Sequence[Tensor],
    teacher: Sequence[Tensor],
    pairs_BTT: Tensor | None = None,
    entries: Tensor | float | None = None,
) -> Tensor:
    """Mean squared difference of aligned attention probabilities: over entries, then over layers.

    ``student`` and ``teacher`` are equally many maps of shape BHTT (after the softmax, last axis the keys),
    aligned one to one. ``pairs_BTT`` (bool or 0/1) says which query-key pairs count, see ``valid_pairs``;
    None counts all. ``entries`` is the number each layer's sum is divided by, by default heads x valid pairs
    of this batch; with the count of the whole step, over all micro-batches and workers, the parts add up to
    the whole.

    Long sequences weigh more than short ones, since entries are pooled over the batch. Computed in float32 at
    least.

    Raises ValueError if the two sides differ in number or shape.
    """
    _check_aligned(student, teacher)
    if entries is None:
        heads = student[0].shape[1]
        entries = student[0].numel() if pairs_BTT is None else heads * pairs_BTT.sum().clamp(min=1)
    counted = None if pairs_BTT is None else pairs_BTT.unsqueeze(1)
    layers = [_squared_difference(s, t, counted) for s, t in zip(student, teacher, strict=True)]
    return torch.stack(layers).mean() / entries


def attention_mse_of_vectors(
    student: Sequence[Vectors],
    teacher: Sequence[Vectors],
    pairs_BTT: Tensor | None = None,
    entries: Tensor | float | None = None,
) -> Tensor:
    """``attention_mse`` of the maps that queries and keys make, computed a few sequences at a time.

    Needs a small part of the memory, and can be had next to fused attention, which gives no maps. A teacher of more
    heads has its maps averaged (see ``group_heads``); only the student's vectors get gradients.

    Raises ValueError if the two sides differ in number, or heads do not divide.
    """
    _check_number(student, teacher)
    batch, heads, length, _ = student[0].query.shape
    if entries is None:
        entries = batch * heads * length**2 if pairs_BTT is None else heads * pairs_BTT.sum().clamp(min=1)
    layers = [
        sum_by_parts(
            _squared_difference_of_vectors,
            (s.query, s.key, s.mask, t.query.detach(), t.key.detach(), t.mask, pairs_BTT),
            entries=max(heads, t.query.shape[1]) * length**2,
        )
        for s, t in zip(student, teacher, strict=True)
    ]
    return torch.stack(layers).mean() / entries


def group_heads(map_BHTT: Tensor, heads: int) -> Tensor:
    """Average an attention map over groups of neighbouring heads, so that ``heads`` are left: what fewer heads learn.

    ValueError if the number of heads does not divide.
    """
    if map_BHTT.shape[1] == heads:
        return map_BHTT
    if map_BHTT.shape[1] % heads:
        raise ValueError(f"{map_BHTT.shape[1]} heads cannot be averaged to {heads}")
    return map_BHTT.unflatten(1, (heads, -1)).mean(2)


def reference_attention_mse(student: Sequence[Tensor], teacher: Sequence[Tensor]) -> Tensor:
    """``attention_mse`` over the entries where the teacher's probability is not exactly 0, as published.

    That drops padded keys, and real ones whose probability underflows; rows of padded queries stay in. As
    long as nothing underflows, only the divisor differs from the sum over everything.
    """
    _check_aligned(student, teacher)
    layers = [_squared_difference(s, t, t != 0) / (t != 0).sum() for s, t in zip(student, teacher, strict=True)]
    return torch.stack(layers).mean()


def reference_attention_divergence(student: Sequence[Tensor], teacher: Sequence[Tensor]) -> Tensor:
    """What the published code calls KL: mean of ``t * (log t - s)`` where ``t != 0``, then over layers.

    Probabilities stand where log-probabilities belong, so this is no divergence and may be negative. The
    published scripts do not use it either.
    """
    _check_aligned(student, teacher)
    layers = []
    for student_BHTT, teacher_BHTT in zip(student, teacher, strict=True):
        s, t = at_least_float32(student_BHTT), at_least_float32(teacher_BHTT)
        # xlogy is exactly 0 at t = 0, so the dropped entries add nothing.
        layers.append((torch.xlogy(t, t) - t * s).sum() / (t != 0).sum())
    return torch.stack(layers).mean()


def _check_number(student: Sequence[object], teacher: Sequence[object]) -> None:
    if len(student) != len(teacher) or not student:
        raise ValueError(f"{len(student)} attention maps of the student, {len(teacher)} of the teacher")


def _check_aligned(student: Sequence[Tensor], teacher: Sequence[Tensor]) -> None:
    _check_number(student, teacher)
    for student_BHTT, teacher_BHTT in zip(student, teacher, strict=True):
        if student_BHTT.shape != teacher_BHTT.shape:
            raise ValueError(f"attention maps {tuple(student_BHTT.shape)} against {tuple(teacher_BHTT.shape)}")


def _squared_difference(student_BHTT: Tensor, teacher_BHTT: Tensor, counted: Tensor | None) -> Tensor:
    """Sum of squared differences over the entries that count; ``counted`` must broadcast to BHTT."""
    student_BHTT, teacher_BHTT = at_least_float32(student_BHTT), at_least_float32(teacher_BHTT)
    if counted is None:
        return F.mse_loss(student_BHTT, teacher_BHTT, reduction="sum")
    return (F.mse_loss(student_BHTT, teacher_BHTT, reduction="none") * counted).sum()


def _squared_difference_of_vectors(*arguments: Tensor | None) -> Tensor:
    difference: Tensor = _SquaredDifference.apply(*arguments)
    return difference


class _SquaredDifference(torch.autograd.Function):
    """``_squared_difference`` of the maps of a student's and a teacher's vectors, the gradients by hand: in place."""

    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401
        query_BHTd: Tensor,
        key_BHTd: Tensor,
        mask_B1TT: Tensor | None,
        teacher_query_BHTd: Tensor,
        teacher_key_BHTd: Tensor,
        teacher_mask_B1TT: Tensor | None,
        pairs_BTT: Tensor | None,
    ) -> Tensor:
        map_BHTT = attention_map(query_BHTd, key_BHTd, mask_B1TT)
        teacher_BHTT = attention_map(teacher_query_BHTd, teacher_key_BHTd, teacher_mask_B1TT)
        difference_BHTT = group_heads(teacher_BHTT, map_BHTT.shape[1]).neg_().add_(map_BHTT)
        if pairs_BTT is not None:
            difference_BHTT.mul_(pairs_BTT.unsqueeze(1))
        if any(ctx.needs_input_grad):
            ctx.gradients = gradients_through_map(map_BHTT, difference_BHTT, query_BHTd, key_BHTd)
        return torch.dot(difference_BHTT.view(-1), difference_BHTT.view(-1))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        query, key = (found.mul_(2 * gradient) for found in ctx.gradients)
        return query, key, *[None] * 5


def _divisor(query_BHTd: Tensor, scale: float | None) -> float:
    """What products of queries and keys are divided by."""
    return float(query_BHTd.shape[-1] ** 0.5 if scale is None else 1 / scale)
