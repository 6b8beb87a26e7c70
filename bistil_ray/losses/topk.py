"""Distance of a student's predictions from a teacher's, of which only the k most likely are known."""

from __future__ import annotations

import torch
from torch import Tensor

from .precision import at_least_float32


def top_k_divergence(
    student_NV: Tensor,
    ids_NK: Tensor,
    log_teacher_NK: Tensor,
    rest: bool = False,
    rows: Tensor | float | None = None,
) -> Tensor:
    """KL divergence of the student's distribution over the vocabulary from what is known of the teacher's.

    ``student_NV`` are logits, ``ids_NK`` the tokens known, ``log_teacher_NK`` their log-probabilities in the teacher's
    whole distribution. Without ``rest`` the K probabilities are scaled to the sum of 1, so that all else counts as
    impossible: ``t_k = p_k / sum_j p_j``. With ``rest`` (K < V, no token twice) all else is one more outcome of both
    sides, with what is left to 1. Tokens drawn from the teacher's distribution, each with the same probability, give
    the gradient of the whole distribution on average; a token may then be there several times.

    ``rows`` is the number the sum is divided by, by default N; with the count of the whole step, over all micro-batches
    and workers, the parts add up to the whole.

    ``(1 / rows) * sum over rows and outcomes of t * log(t / s)``, in float32 at least; the least value is 0.
    """
    logits_NV, log_known_NK = at_least_float32(student_NV), at_least_float32(log_teacher_NK)
    total_N1 = logits_NV.logsumexp(1, keepdim=True)
    log_student_NK = logits_NV.gather(1, ids_NK) - total_N1
    if rest:
        known_NK = log_known_NK.exp()
        # Rounded probabilities may add up to more than 1.
        rest_N1 = (1 - known_NK.sum(1, keepdim=True)).clamp(min=0)
        others_N1 = logits_NV.scatter(1, ids_NK, float("-inf")).logsumexp(1, keepdim=True) - total_N1
        target = torch.cat([known_NK, rest_N1], 1)
        log_student = torch.cat([log_student_NK, others_N1], 1)
    else:
        target, log_student = log_known_NK.softmax(1), log_student_NK
    divergence = torch.xlogy(target, target) - target * log_student
    return divergence.sum() / (len(logits_NV) if rows is None else rows)
