"""Distance between the predictions of student and teacher, computed a few rows at a time.

With a large vocabulary the probabilities of a whole batch would be the largest tensors of a step.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch.nn.functional as F
from torch import Tensor

from bistil_ray.losses.by_parts import sum_by_parts
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
    _check_shapes(student_NL, teacher_NL)
    if rows is None:
        rows = student_NL.shape[:-1].numel() if valid_N is None else valid_N.sum().clamp(min=1)
    flat_N = None if valid_N is None else valid_N.flatten()
    return _sum_over_rows(partial(_cross_entropy, temperature), student_NL, teacher_NL, flat_N) / rows


def kl_divergence(
    student_NL: Tensor, teacher_NL: Tensor, temperature: float = 2.0, rows: Tensor | float | None = None
) -> Tensor:
    """KL divergence of the student's distribution from the teacher's, both softened by ``temperature``.

    ``student_NL`` and ``teacher_NL`` are logits over the last axis; any number of axes may stand before it.
    ``rows`` is the number the sum is divided by, by default the rows of this batch; with the count of the
    whole step, over all micro-batches and workers, the parts add up to the whole.

    ``(T^2 / rows) * sum over rows and labels of t * log(t / s)`` with ``t = softmax(teacher / T)`` and
    ``s = softmax(student / T)``, in float32 at least. Gradients shrink with T^2, which the factor makes up for
    (Hinton et al. 2015), as DistilBERT does; the least value is 0.

    Raises ValueError if the two sides differ in shape.
    """
    _check_shapes(student_NL, teacher_NL)
    summed = _sum_over_rows(partial(_divergence, temperature), student_NL, teacher_NL)
    return temperature**2 * summed / (student_NL.shape[:-1].numel() if rows is None else rows)


def _sum_over_rows(
    loss: Callable[..., Tensor], student_NL: Tensor, teacher_NL: Tensor, *others: Tensor | None
) -> Tensor:
    labels = student_NL.shape[-1]
    logits = [logits_NL.reshape(-1, labels) for logits_NL in (student_NL, teacher_NL)]
    return sum_by_parts(loss, (*logits, *others), entries=labels)


def _cross_entropy(temperature: float, student_NL: Tensor, teacher_NL: Tensor, valid_N: Tensor | None) -> Tensor:
    target_NL = F.softmax(at_least_float32(teacher_NL) / temperature, dim=-1)
    log_student_NL = F.log_softmax(at_least_float32(student_NL) / temperature, dim=-1)
    loss_N = -(target_NL * log_student_NL).sum(dim=-1)
    return (loss_N if valid_N is None else loss_N * valid_N).sum()


def _divergence(temperature: float, student_NL: Tensor, teacher_NL: Tensor) -> Tensor:
    log_student_NL = F.log_softmax(at_least_float32(student_NL) / temperature, dim=-1)
    log_teacher_NL = F.log_softmax(at_least_float32(teacher_NL) / temperature, dim=-1)
    return F.kl_div(log_student_NL, log_teacher_NL, reduction="sum", log_target=True)


def _check_shapes(student_NL: Tensor, teacher_NL: Tensor) -> None:
    if student_NL.shape != teacher_NL.shape:
        raise ValueError(f"logits of shape {tuple(student_NL.shape)} against {tuple(teacher_NL.shape)}")
