"""Distance between the predictions of student and teacher."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from bistil_ray.losses.precision import at_least_float32


def soft_cross_entropy(
    student_NL: Tensor,
    teacher_NL: Tensor,
    temperature: float = 2.0,
    rows: Tensor | float | None = None,
    valid_N: Tensor | None = None,
) -> Tensor:
    """Cross-entropy of the student's distribution under the teacher's, both softened by ``temperature``.

    ``student_NL`` and ``teacher_NL`` are logits over the last axis; any number of axes may stand before it.
    ``valid_N`` (bool or 0/1, the shape without the last axis) says which rows count; None counts all.
    ``rows`` is the number the sum is divided by, by default the valid rows of this batch; with the count of
    the whole step, over all micro-batches and workers, the parts add up to the whole.

    ``-(1 / rows) * sum over valid rows of sum over labels of softmax(t / T) * log_softmax(s / T)``, in
    float32 at least. As in BISTIL there is no factor T^2, and the teacher's entropy is not taken off: the
    least value is that entropy, not 0.

    Raises ValueError if the two sides differ in shape.
    """
    if student_NL.shape != teacher_NL.shape:
        raise ValueError(f"logits of shape {tuple(student_NL.shape)} against {tuple(teacher_NL.shape)}")
    target_NL = F.softmax(at_least_float32(teacher_NL) / temperature, dim=-1)
    log_student_NL = F.log_softmax(at_least_float32(student_NL) / temperature, dim=-1)
    loss_N = -(target_NL * log_student_NL).sum(dim=-1)
    if valid_N is not None:
        loss_N = loss_N * valid_N
    if rows is None:
        rows = loss_N.numel() if valid_N is None else valid_N.sum().clamp(min=1)
    return loss_N.sum() / rows
