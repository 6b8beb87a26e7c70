"""The attention loss against loops written out, and the behaviours kept to compare with published numbers."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from bistil_ray.losses.attention import (
    attention_mse,
    reference_attention_divergence,
    reference_attention_mse,
    valid_pairs,
)

BATCH, HEADS, LENGTH = 2, 3, 4
VALID = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]], dtype=torch.bool)


def maps(count: int, seed: int) -> list[Tensor]:
    """Attention over the keys that are no padding; rows of padded queries are there too."""
    generator = torch.Generator().manual_seed(seed)
    scores = [torch.randn(BATCH, HEADS, LENGTH, LENGTH, generator=generator).double() for _ in range(count)]
    return [score.masked_fill(~VALID[:, None, None, :], -math.inf).softmax(dim=-1) for score in scores]


def test_is_the_mean_over_heads_and_valid_pairs_then_over_layers() -> None:
    student, teacher = maps(2, seed=1), maps(2, seed=2)
    layers = []
    for s, t in zip(student, teacher, strict=True):
        squares = [
            (s[b, h, q, k] - t[b, h, q, k]).item() ** 2
            for b in range(BATCH)
            for h in range(HEADS)
            for q in range(LENGTH)
            for k in range(LENGTH)
            if VALID[b, q] and VALID[b, k]
        ]
        layers.append(sum(squares) / len(squares))
    loss = attention_mse(student, teacher, valid_pairs(VALID))
    assert loss.item() == pytest.approx(sum(layers) / 2, rel=1e-13)


def test_without_pairs_every_entry_counts() -> None:
    student, teacher = maps(1, seed=1), maps(1, seed=2)
    assert attention_mse(student, teacher).item() == pytest.approx(((student[0] - teacher[0]) ** 2).mean().item())


def test_valid_pairs_are_real_queries_with_real_keys() -> None:
    pairs = valid_pairs(VALID.long())
    assert pairs.dtype == torch.bool
    assert pairs[0].all()
    assert pairs[1].nonzero().tolist() == [[0, 0], [0, 1], [1, 0], [1, 1]]


def test_parts_of_a_step_add_up_to_the_whole() -> None:
    student, teacher, pairs = maps(2, seed=1), maps(2, seed=2), valid_pairs(VALID)
    entries = HEADS * pairs.sum()
    parts = [
        attention_mse([s[b : b + 1] for s in student], [t[b : b + 1] for t in teacher], pairs[b : b + 1], entries)
        for b in range(BATCH)
    ]
    assert sum(part.item() for part in parts) == pytest.approx(attention_mse(student, teacher, pairs).item(), rel=1e-13)


def test_half_precision_is_computed_in_float32() -> None:
    student, teacher = maps(1, seed=1), maps(1, seed=2)
    loss = attention_mse([student[0].bfloat16()], [teacher[0].bfloat16()])
    assert loss.dtype == torch.float32
    exact = attention_mse([student[0].bfloat16().double()], [teacher[0].bfloat16().double()])
    assert loss.item() == pytest.approx(exact.item(), rel=1e-6)


def test_reference_drops_exactly_the_zeros_of_the_teacher() -> None:
    student, teacher = maps(2, seed=1), maps(2, seed=2)
    teacher[1][0, 0, 0, 0] = 0.0  # underflow at a real key
    expected = sum(((s - t)[t != 0] ** 2).mean().item() for s, t in zip(student, teacher, strict=True)) / len(student)
    assert reference_attention_mse(student, teacher).item() == pytest.approx(expected, rel=1e-13)


def test_reference_equals_the_explicit_keys_where_nothing_underflows() -> None:
    student, teacher = maps(2, seed=1), maps(2, seed=2)
    keys = VALID.unsqueeze(1).expand(BATCH, LENGTH, LENGTH)
    expected = attention_mse(student, teacher, keys).item()
    assert reference_attention_mse(student, teacher).item() == pytest.approx(expected, rel=1e-13)


def test_reference_divergence_takes_probabilities_for_their_logarithms() -> None:
    student, teacher = maps(2, seed=1), maps(2, seed=2)
    expected = 0.0
    for s, t in zip(student, teacher, strict=True):
        kept = t != 0
        expected += (t[kept] * (t[kept].log() - s[kept])).mean().item() / 2
    assert reference_attention_divergence(student, teacher).item() == pytest.approx(expected, rel=1e-13)
    assert expected < 0  # so it is no divergence


def test_gradients_of_the_reference_losses_are_finite_at_zero_probabilities() -> None:
    for loss in (reference_attention_mse, reference_attention_divergence):
        student = [s.requires_grad_() for s in maps(1, seed=1)]
        loss(student, maps(1, seed=2)).backward()
        assert student[0].grad is not None and student[0].grad.isfinite().all()


def test_maps_that_do_not_match_are_refused() -> None:
    with pytest.raises(ValueError, match="2 attention maps of the student, 1 of the teacher"):
        attention_mse(maps(2, seed=1), maps(1, seed=1))
    with pytest.raises(ValueError, match="against"):
        attention_mse(maps(1, seed=1), [maps(1, seed=1)[0][:, :1]])
