"""Distance between the predictions of student and teacher, computed a few rows at a time.

With a large vocabulary the probabilities of a whole batch would be the largest tensors of a step.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch.nn.functional as F
from torch import Tensor

from ..data.masking import IGNORED
from .by_parts import sum_by_parts
from .precision import at_least_float32


def soft_cross_entropy(
    student_NL: Tensor,
    teacher_NL: Tensor,
    temperature: float = 2.0,
    rows: Tensor | float | None = None,
) -> Tensor:
    """Cross-entropy of the student's distribution under the teacher's, both softened by ``temperature``.

    ``student_NL`` and ``teacher_NL`` are logits over the last axis; any number of axes may stand before it.
    ``rows`` is the number the sum is divided by, by default the rows of this batch; with the count of the
    whole step, over all micro-batches and workers, the parts add up to the whole.

    ``-(1 / rows) * sum over rows and labels of softmax(t / T) * log_softmax(s / T)``, in float32 at least. As in BISTIL
    there is no factor T^2, and the teacher's entropy is not taken off: the least value is that entropy, not 0.

    Raises ValueError if the two sides differ in shape.
    """
    summed = _sum_over_rows(partial(_soft_cross_entropy, temperature), student_NL, teacher_NL)
    return summed / (student_NL.shape[:-1].numel() if rows is None else rows)


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
    summed = _sum_over_rows(partial(_divergence, temperature), student_NL, teacher_NL)
    return temperature**2 * summed / (student_NL.shape[:-1].numel() if rows is None else rows)


def label_cross_entropy(logits_NL: Tensor, labels_N: Tensor) -> Tensor:
    """Cross-entropy of logits against right answers, summed over the rows whose answer is not ``IGNORED``.

    In float32 at least, and computed as one: of labels there are few, and of masked tokens a tenth of a batch.
    """
    return F.cross_entropy(at_least_float32(logits_NL), labels_N, ignore_index=IGNORED, reduction="sum")


def _sum_over_rows(loss: Callable[..., Tensor], student_NL: Tensor, teacher_NL: Tensor) -> Tensor:
    if student_NL.shape != teacher_NL.shape:
        raise ValueError(f"logits of shape {tuple(student_NL.shape)} against {tuple(teacher_NL.shape)}")
    labels = student_NL.shape[-1]
    return sum_by_parts(loss, (student_NL.reshape(-1, labels), teacher_NL.reshape(-1, labels)), entries=labels)


def _soft_cross_entropy(temperature: float, student_NL: Tensor, teacher_NL: Tensor) -> Tensor:
    target_NL = F.softmax(at_least_float32(teacher_NL) / temperature, dim=-1)
    log_student_NL = F.log_softmax(at_least_float32(student_NL) / temperature, dim=-1)
    return -(target_NL * log_student_NL).sum(dim=-1).sum()


def _divergence(temperature: float, student_NL: Tensor, teacher_NL: Tensor) -> Tensor:
    log_student_NL = F.log_softmax(at_least_float32(student_NL) / temperature, dim=-1)
    log_teacher_NL = F.log_softmax(at_least_float32(teacher_NL) / temperature, dim=-1)
    return F.kl_div(log_student_NL, log_teacher_NL, reduction="sum", log_target=True)
