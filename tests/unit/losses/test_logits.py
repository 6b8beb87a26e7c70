"""The soft cross-entropy against its definition."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from bistil_ray.losses.logits import soft_cross_entropy


def logits(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def row_loss(student: list[float], teacher: list[float], temperature: float) -> float:
    def softmax(values: list[float]) -> list[float]:
        powers = [math.exp(value / temperature) for value in values]
        return [power / sum(powers) for power in powers]

    return -sum(t * math.log(s) for s, t in zip(softmax(student), softmax(teacher), strict=True))


@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_is_the_mean_cross_entropy_of_softened_rows_without_a_squared_temperature(temperature: float) -> None:
    student, teacher = logits(6, 5, seed=1), logits(6, 5, seed=2)
    rows = [row_loss(s, t, temperature) for s, t in zip(student.tolist(), teacher.tolist(), strict=True)]
    loss = soft_cross_entropy(student, teacher, temperature)
    assert loss.item() == pytest.approx(sum(rows) / 6, rel=1e-13)


def test_masked_rows_count_for_nothing() -> None:
    student, teacher = logits(2, 3, 5, seed=1), logits(2, 3, 5, seed=2)
    valid = torch.tensor([[1, 1, 0], [1, 0, 0]])
    expected = soft_cross_entropy(student[valid.bool()], teacher[valid.bool()]).item()
    assert soft_cross_entropy(student, teacher, valid_N=valid).item() == pytest.approx(expected, rel=1e-13)


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
