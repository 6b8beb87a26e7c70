"""Distance between the hidden states of student and teacher."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from .precision import at_least_float32


def hidden_mse(
    student: Sequence[Tensor],
    teacher: Sequence[Tensor],
    valid_BT: Tensor | None = None,
    positions: Tensor | float | None = None,
) -> Tensor:
    """Mean squared difference of aligned hidden states: over units, positions, then states.

    ``student`` and ``teacher`` are equally many states of shape BTD, aligned one to one: all of a student's
    states for the loss of BISTIL, the last pair alone for alignment at the top. Gradients flow to whatever
    requires them.

    ``valid_BT`` (bool or 0/1) says which positions count; None counts all, padding included, as the published
    code does. ``positions`` is the number the sum is divided by, by default the valid positions of this
    batch. With the count of the whole step, over all micro-batches and workers, losses and gradients of the
    parts add up to those of the whole.

    ``(1 / states) * sum over states, valid positions and units of (s - t)^2 / (positions * D)``, in float32
    at least.

    Raises ValueError if the two sides differ in number or shape.
    """
    if len(student) != len(teacher) or not student:
        raise ValueError(f"{len(student)} hidden states of the student against {len(teacher)} of the teacher")
    if positions is None:
        positions = student[0].shape[:-1].numel() if valid_BT is None else valid_BT.sum().clamp(min=1)
    states = [_mean_over_units(s, t, valid_BT) for s, t in zip(student, teacher, strict=True)]
    return torch.stack(states).mean() / positions


def cosine_distance(
    student_BTD: Tensor,
    teacher_BTD: Tensor,
    valid_BT: Tensor | None = None,
    positions: Tensor | float | None = None,
) -> Tensor:
    """One minus the cosine of the angle between aligned hidden states, averaged over positions (DistilBERT).

    ``student_BTD`` and ``teacher_BTD`` have the same shape; ``valid_BT`` and ``positions`` are those of
    ``hidden_mse``. Between 0 and 2, in float32 at least; the length of a state plays no part.

    Raises ValueError if the two sides differ in shape.
    """
    _check_shapes(student_BTD, teacher_BTD)
    if positions is None:
        positions = student_BTD.shape[:-1].numel() if valid_BT is None else valid_BT.sum().clamp(min=1)
    distance_BT = 1 - F.cosine_similarity(at_least_float32(student_BTD), at_least_float32(teacher_BTD), dim=-1)
    return (distance_BT if valid_BT is None else distance_BT * valid_BT).sum() / positions


def _mean_over_units(student_BTD: Tensor, teacher_BTD: Tensor, valid_BT: Tensor | None) -> Tensor:
    """Squared differences, averaged over units and summed over the valid positions."""
    _check_shapes(student_BTD, teacher_BTD)
    student_BTD, teacher_BTD = at_least_float32(student_BTD), at_least_float32(teacher_BTD)
    if valid_BT is None:
        summed = F.mse_loss(student_BTD, teacher_BTD, reduction="sum")
    else:
        summed = (F.mse_loss(student_BTD, teacher_BTD, reduction="none").sum(dim=-1) * valid_BT).sum()
    return summed / student_BTD.shape[-1]


def _check_shapes(student_BTD: Tensor, teacher_BTD: Tensor) -> None:
    if student_BTD.shape != teacher_BTD.shape:
        raise ValueError(f"hidden states {tuple(student_BTD.shape)} against {tuple(teacher_BTD.shape)}")
