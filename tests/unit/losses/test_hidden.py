"""The hidden-state losses against loops written out, and their independence of how a step is split."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from bistil_ray.losses.hidden import cosine_distance, hidden_mse


def states(count: int, batch: int = 3, length: int = 5, units: int = 4, seed: int = 0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(batch, length, units, generator=generator, dtype=torch.float64) for _ in range(count)]


def naive(student: list[Tensor], teacher: list[Tensor], valid_BT: Tensor) -> float:
    total, batch, length = 0.0, *valid_BT.shape
    for s, t in zip(student, teacher, strict=True):
        squares = [
            ((s[b, i] - t[b, i]) ** 2).mean().item() for b in range(batch) for i in range(length) if valid_BT[b, i]
        ]
        total += sum(squares) / len(squares)
    return total / len(student)


VALID = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0], [1, 0, 0, 0, 0]], dtype=torch.bool)


def test_is_the_mean_over_valid_positions_and_units_and_states() -> None:
    student, teacher = states(3, seed=1), states(3, seed=2)
    assert hidden_mse(student, teacher, VALID).item() == pytest.approx(naive(student, teacher, VALID), rel=1e-13)


def test_without_a_mask_every_position_counts() -> None:
    student, teacher = states(2, seed=1), states(2, seed=2)
    everything = torch.ones(3, 5, dtype=torch.bool)
    expected = pytest.approx(naive(student, teacher, everything), rel=1e-13)
    assert hidden_mse(student, teacher).item() == expected
    assert hidden_mse(student, teacher, everything.long()).item() == expected


def test_padding_has_no_part_in_loss_and_gradient() -> None:
    student, teacher = states(2, seed=1), states(2, seed=2)
    for state in student:
        state.requires_grad_()
    before = hidden_mse(student, teacher, VALID)
    before.backward()
    for state in student:
        assert state.grad is not None
        assert (state.grad[~VALID] == 0).all() and (state.grad[VALID] != 0).all()
    changed = [state.detach() + 100 * (~VALID).unsqueeze(-1) for state in student]
    assert hidden_mse(changed, teacher, VALID).item() == pytest.approx(before.item(), rel=1e-14)


@pytest.mark.parametrize("count_type", [float, torch.tensor])
def test_parts_of_a_step_add_up_to_the_whole(count_type: type) -> None:
    student, teacher = states(2, seed=1), states(2, seed=2)
    positions = count_type(VALID.sum().item())
    parts = [
        hidden_mse([s[b : b + 1] for s in student], [t[b : b + 1] for t in teacher], VALID[b : b + 1], positions)
        for b in range(3)
    ]
    assert sum(part.item() for part in parts) == pytest.approx(hidden_mse(student, teacher, VALID).item(), rel=1e-13)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_summed_in_float32(dtype: torch.dtype) -> None:
    student = [torch.full((8, 64, 64), 1.0, dtype=dtype)]
    teacher = [torch.full((8, 64, 64), 0.5, dtype=dtype)]
    loss = hidden_mse(student, teacher)
    assert loss.dtype == torch.float32
    assert loss.item() == 0.25  # the sum of 32,768 quarters is beyond what half precision can count


def test_a_batch_of_nothing_but_padding_gives_nought_and_not_nan() -> None:
    assert hidden_mse(states(1, seed=1), states(1, seed=2), torch.zeros(3, 5)).item() == 0.0


def test_states_that_do_not_match_are_refused() -> None:
    with pytest.raises(ValueError, match="2 hidden states of the student against 1"):
        hidden_mse(states(2), states(1))
    with pytest.raises(ValueError, match=r"\(3, 5, 4\) against \(3, 1, 4\)"):
        hidden_mse(states(1), states(1, length=1))
    with pytest.raises(ValueError, match=r"\(3, 5, 4\) against \(3, 1, 4\)"):
        cosine_distance(states(1)[0], states(1, length=1)[0])


def test_cosine_distance_is_the_mean_over_valid_positions() -> None:
    (student,), (teacher,) = states(1, seed=1), states(1, seed=2)
    distances = [
        1 - sum(x * y for x, y in zip(s, t, strict=True)) / (math.hypot(*s) * math.hypot(*t))
        for s, t in zip(student[VALID].tolist(), teacher[VALID].tolist(), strict=True)
    ]
    loss = cosine_distance(student, teacher, VALID)
    assert loss.item() == pytest.approx(sum(distances) / len(distances), rel=1e-13)


def test_cosine_distance_without_a_mask_counts_every_position() -> None:
    (student,), (teacher,) = states(1, seed=1), states(1, seed=2)
    expected = cosine_distance(student, teacher, torch.ones(3, 5)).item()
    assert cosine_distance(student, teacher).item() == pytest.approx(expected, rel=1e-14)


def test_cosine_distance_sees_directions_and_no_lengths() -> None:
    (teacher,) = states(1, seed=1)
    assert cosine_distance(3 * teacher, teacher).item() == pytest.approx(0, abs=1e-15)
    assert cosine_distance(-3 * teacher, teacher).item() == pytest.approx(2, rel=1e-15)


def test_padding_has_no_part_in_the_cosine_distance() -> None:
    (student,), (teacher,) = states(1, seed=1), states(1, seed=2)
    student.requires_grad_()
    cosine_distance(student, teacher, VALID).backward()
    assert student.grad is not None
    assert (student.grad[~VALID] == 0).all() and (student.grad[VALID] != 0).all()
    assert cosine_distance(student, teacher, torch.zeros(3, 5)).item() == 0.0


def test_cosine_distances_of_parts_add_up_to_the_whole() -> None:
    (student,), (teacher,) = states(1, seed=1), states(1, seed=2)
    parts = [cosine_distance(student[b], teacher[b], VALID[b], float(VALID.sum())).item() for b in range(3)]
    assert sum(parts) == pytest.approx(cosine_distance(student, teacher, VALID).item(), rel=1e-13)


def test_cosine_distance_of_half_precision_is_computed_in_float32() -> None:
    (student,), (teacher,) = ([s.bfloat16() for s in states(1, units=64, seed=seed)] for seed in (1, 2))
    loss = cosine_distance(student, teacher)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(cosine_distance(student.double(), teacher.double()).item(), rel=1e-5)
