"""The distance from predictions of which the top k are known, against the formula written out in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from bistil_ray.losses.topk import top_k_divergence

N, V, K = 7, 11, 3


def student_and_teacher(dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Logits of a student and a teacher, the ids of the teacher's top k and their log-probabilities."""
    generator = torch.Generator().manual_seed(0)
    student, teacher = 3 * torch.randn(2, N, V, generator=generator, dtype=torch.float64)
    log_teacher = teacher.log_softmax(1)
    known = log_teacher.topk(K)
    return student.to(dtype).requires_grad_(), teacher, known.indices, known.values.to(dtype)


def written_out(student_NV: Tensor, teacher_NV: Tensor, rest: bool) -> float:
    """The same with loops and whole distributions."""
    total = 0.0
    for student, teacher in zip(student_NV.detach().numpy(), teacher_NV.numpy(), strict=True):
        s, t = (np.exp(values) / np.exp(values).sum() for values in (student, teacher))
        top = np.argsort(-t)[:K]
        outcomes = [(t[i] if rest else t[i] / t[top].sum(), s[i]) for i in top]
        if rest:
            outcomes.append((1 - t[top].sum(), 1 - s[top].sum()))
        total += sum(p * np.log(p / q) for p, q in outcomes)
    return total / N


@pytest.mark.parametrize("rest", [False, True])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
def test_the_value_is_that_of_the_formula(rest: bool, dtype: torch.dtype, tolerance: float) -> None:
    student, teacher, ids, log_known = student_and_teacher(dtype)
    loss = top_k_divergence(student, ids, log_known, rest)
    assert loss.dtype == dtype
    assert loss.item() == pytest.approx(written_out(student, teacher, rest), rel=tolerance)


@pytest.mark.parametrize("rest", [False, True])
def test_the_gradient_is_that_of_finite_differences(rest: bool) -> None:
    student, _, ids, log_known = student_and_teacher()
    assert torch.autograd.gradcheck(lambda logits: top_k_divergence(logits, ids, log_known, rest), (student,))


def test_with_all_that_is_known_the_least_value_is_zero() -> None:
    _, teacher, ids, log_known = student_and_teacher()
    assert top_k_divergence(teacher, ids, log_known, rest=True).item() == pytest.approx(0, abs=1e-12)
    certain = torch.full((N, V), -1e4).scatter(1, ids, log_known.float())
    assert top_k_divergence(certain, ids, log_known.float()).item() == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("rest", [False, True])
def test_parts_over_the_count_of_the_whole_add_up(rest: bool) -> None:
    student, _, ids, log_known = student_and_teacher()
    parts = [
        top_k_divergence(student[rows], ids[rows], log_known[rows], rest, rows=float(N))
        for rows in (slice(2), slice(2, N), slice(0, 0))
    ]
    assert sum(parts).item() == pytest.approx(top_k_divergence(student, ids, log_known, rest).item(), rel=1e-12)


def test_probabilities_that_rounding_brings_above_one_are_taken_as_certain() -> None:
    log_known = torch.tensor([[0.0, -7.0]], dtype=torch.float16)
    loss = top_k_divergence(torch.randn(1, V), torch.tensor([[1, 2]]), log_known, rest=True)
    assert torch.isfinite(loss)


def test_the_gradient_of_draws_is_that_of_the_whole_distribution_on_average() -> None:
    student, teacher, _, _ = student_and_teacher()
    draws = torch.multinomial(teacher.softmax(1), 200_000, replacement=True, generator=torch.Generator().manual_seed(0))
    loss = top_k_divergence(student, draws, torch.full(draws.shape, -9.0, dtype=torch.float64))
    (mean,) = torch.autograd.grad(loss, student)
    expected = (student.softmax(1) - teacher.softmax(1)) / N
    assert torch.allclose(mean, expected, atol=1e-3)
