"""The soft cross-entropy and the divergence against their definitions."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from bistil_ray.data.masking import IGNORED
from bistil_ray.losses.logits import kl_divergence, label_cross_entropy, soft_cross_entropy


def logits(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def softmax(values: list[float], temperature: float) -> list[float]:
    powers = [math.exp(value / temperature) for value in values]
    return [power / sum(powers) for power in powers]


def row_loss(student: list[float], teacher: list[float], temperature: float) -> float:
    both = zip(softmax(student, temperature), softmax(teacher, temperature), strict=True)
    return -sum(t * math.log(s) for s, t in both)


def row_divergence(student: list[float], teacher: list[float], temperature: float) -> float:
    both = zip(softmax(student, temperature), softmax(teacher, temperature), strict=True)
    return sum(t * math.log(t / s) for s, t in both)


@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_is_the_mean_cross_entropy_of_softened_rows_without_a_squared_temperature(temperature: float) -> None:
    student, teacher = logits(6, 5, seed=1), logits(6, 5, seed=2)
    rows = [row_loss(s, t, temperature) for s, t in zip(student.tolist(), teacher.tolist(), strict=True)]
    loss = soft_cross_entropy(student, teacher, temperature)
    assert loss.item() == pytest.approx(sum(rows) / 6, rel=1e-13)


def test_decisions_without_a_right_answer_count_for_nothing() -> None:
    rows, answers = logits(4, 5, seed=1), torch.tensor([3, IGNORED, 0, IGNORED])
    expected = sum(-math.log(softmax(rows[row].tolist(), 1.0)[answer]) for row, answer in ((0, 3), (2, 0)))
    assert label_cross_entropy(rows, answers).item() == pytest.approx(expected, rel=1e-13)


def test_parts_of_a_step_add_up_to_the_whole() -> None:
    student, teacher = logits(6, 5, seed=1), logits(6, 5, seed=2)
    parts = [soft_cross_entropy(student[i : i + 2], teacher[i : i + 2], rows=6.0).item() for i in (0, 2, 4)]
    assert sum(parts) == pytest.approx(soft_cross_entropy(student, teacher).item(), rel=1e-13)


def test_is_least_where_the_student_agrees_with_the_teacher() -> None:
    teacher = logits(4, 5, seed=2)
    student = teacher.clone().requires_grad_()
    loss = soft_cross_entropy(student, teacher)
    loss.backward()
    probabilities = (teacher / 2).softmax(dim=-1)
    entropy = -(probabilities * probabilities.log()).sum(dim=-1).mean()
    assert loss.item() == pytest.approx(entropy.item(), rel=1e-13)
    assert student.grad is not None and student.grad.abs().max() < 1e-15


def test_half_precision_is_computed_in_float32() -> None:
    student, teacher = logits(4, 500, seed=1), logits(4, 500, seed=2)
    loss = soft_cross_entropy(student.bfloat16(), teacher.bfloat16())
    assert loss.dtype == torch.float32
    exact = soft_cross_entropy(student.bfloat16().double(), teacher.bfloat16().double())
    assert loss.item() == pytest.approx(exact.item(), rel=1e-6)


def test_logits_of_different_shape_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(2, 5\) against \(2, 4\)"):
        soft_cross_entropy(logits(2, 5, seed=1), logits(2, 4, seed=2))
    with pytest.raises(ValueError, match=r"\(2, 5\) against \(1, 5\)"):
        kl_divergence(logits(2, 5, seed=1), logits(1, 5, seed=2))


@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_divergence_is_the_mean_of_softened_rows_times_the_squared_temperature(temperature: float) -> None:
    student, teacher = logits(6, 5, seed=1), logits(6, 5, seed=2)
    rows = [row_divergence(s, t, temperature) for s, t in zip(student.tolist(), teacher.tolist(), strict=True)]
    loss = kl_divergence(student, teacher, temperature)
    assert loss.item() == pytest.approx(temperature**2 * sum(rows) / 6, rel=1e-13)


def test_parts_of_a_step_have_divergences_that_add_up_to_the_whole() -> None:
    student, teacher = logits(6, 5, seed=1), logits(6, 5, seed=2)
    parts = [kl_divergence(student[i : i + 2], teacher[i : i + 2], rows=6.0).item() for i in (0, 2, 4)]
    assert sum(parts) == pytest.approx(kl_divergence(student, teacher).item(), rel=1e-13)


def test_divergence_has_the_gradient_of_the_soft_cross_entropy_but_ends_at_nought() -> None:
    student, teacher = logits(4, 5, seed=1).requires_grad_(), logits(4, 5, seed=2)
    (divergence,) = torch.autograd.grad(kl_divergence(student, teacher, 2.0), student)
    (cross_entropy,) = torch.autograd.grad(soft_cross_entropy(student, teacher, 2.0), student)
    torch.testing.assert_close(divergence, 4 * cross_entropy, rtol=1e-12, atol=1e-15)
    assert kl_divergence(teacher.clone(), teacher).item() == 0.0


def test_divergence_of_half_precision_is_computed_in_float32() -> None:
    student, teacher = logits(4, 500, seed=1).bfloat16(), logits(4, 500, seed=2).bfloat16()
    loss = kl_divergence(student, teacher)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(kl_divergence(student.double(), teacher.double()).item(), rel=1e-6)
