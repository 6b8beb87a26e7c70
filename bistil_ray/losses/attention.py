"""Distance between the attention probabilities of student and teacher.

``attention_mse`` is the loss to use. The two functions with ``reference`` in their names behave as the
published code of BISTIL does, so that its numbers can be compared with.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from bistil_ray.losses.precision import at_least_float32


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


def _check_aligned(student: Sequence[Tensor], teacher: Sequence[Tensor]) -> None:
    if len(student) != len(teacher) or not student:
        raise ValueError(f"{len(student)} attention maps of the student, {len(teacher)} of the teacher")
    for student_BHTT, teacher_BHTT in zip(student, teacher, strict=True):
        if student_BHTT.shape != teacher_BHTT.shape:
            raise ValueError(f"attention maps {tuple(student_BHTT.shape)} against {tuple(teacher_BHTT.shape)}")


def _squared_difference(student_BHTT: Tensor, teacher_BHTT: Tensor, counted: Tensor | None) -> Tensor:
    """Sum of squared differences over the entries that count; ``counted`` must broadcast to BHTT."""
    student_BHTT, teacher_BHTT = at_least_float32(student_BHTT), at_least_float32(teacher_BHTT)
    if counted is None:
        return F.mse_loss(student_BHTT, teacher_BHTT, reduction="sum")
    return (F.mse_loss(student_BHTT, teacher_BHTT, reduction="none") * counted).sum()
