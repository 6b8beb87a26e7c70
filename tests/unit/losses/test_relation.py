"""The relation loss against loops written out, across widths and heads, and its independence of how a step is split."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from bistil_ray.errors import ModelError
from bistil_ray.losses.relation import choose_relation_heads, relation_divergence

BATCH, LENGTH = 3, 4
VALID = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0], [1, 1, 1, 0]], dtype=torch.bool)


def vectors(heads: int, size: int, seed: int) -> list[Tensor]:
    """Queries, keys and values, BHTd."""
    generator = torch.Generator().manual_seed(seed)
    return list(torch.randn(3, BATCH, heads, LENGTH, size, generator=generator, dtype=torch.float64))


def relations(vectors_BHTd: Tensor, relation_heads: int, b: int, head: int, query: int) -> list[float]:
    """Probabilities of the keys that are no padding, for one query of one relation head."""
    joined = [[x for h in vectors_BHTd[b] for x in h[position].tolist()] for position in range(LENGTH)]
    size = len(joined[0]) // relation_heads
    parts = [row[head * size : (head + 1) * size] for row in joined]
    keys = [part for part, valid in zip(parts, VALID[b], strict=True) if valid]
    powers = [
        math.exp(math.fsum(q * k for q, k in zip(parts[query], key, strict=True)) / math.sqrt(size)) for key in keys
    ]
    return [power / sum(powers) for power in powers]


def naive(student: list[Tensor], teacher: list[Tensor], relation_heads: int) -> float:
    divergences = [
        sum(t * math.log(t / s) for s, t in zip(ours, theirs, strict=True))
        for kind in range(3)
        for b in range(BATCH)
        for head in range(relation_heads)
        for query in range(LENGTH)
        if VALID[b, query]
        for ours in [relations(student[kind], relation_heads, b, head, query)]
        for theirs in [relations(teacher[kind], relation_heads, b, head, query)]
    ]
    return sum(divergences) / len(divergences)


@pytest.mark.parametrize(
    ("student", "teacher", "relation_heads"),
    [((2, 6), (2, 6), 2), ((2, 6), (2, 6), 6), ((2, 6), (4, 6), 4), ((3, 4), (2, 9), 6)],
    ids=["heads kept", "heads divided", "heads joined and divided", "another width and number of heads"],
)
def test_is_the_mean_divergence_over_relation_heads_valid_queries_and_kinds(
    student: tuple[int, int], teacher: tuple[int, int], relation_heads: int
) -> None:
    ours, theirs = vectors(*student, seed=1), vectors(*teacher, seed=2)
    expected = pytest.approx(naive(ours, theirs, relation_heads), rel=1e-12)
    assert relation_divergence(ours, theirs, relation_heads, VALID).item() == expected
    assert relation_divergence(ours, theirs, relation_heads, VALID.long()).item() == expected


def test_without_a_mask_every_position_counts() -> None:
    ours, theirs = vectors(2, 6, seed=1), vectors(4, 6, seed=2)
    everything = torch.ones(BATCH, LENGTH)
    expected = relation_divergence(ours, theirs, 4, everything).item()
    assert relation_divergence(ours, theirs, 4).item() == pytest.approx(expected, rel=1e-13)


def test_is_nought_without_gradient_where_student_and_teacher_agree() -> None:
    theirs = vectors(2, 6, seed=1)
    ours = [kind.clone().requires_grad_() for kind in theirs]
    loss = relation_divergence(ours, theirs, 4, VALID)
    loss.backward()
    assert loss.item() == 0.0
    assert all(kind.grad is not None and kind.grad.abs().max() < 1e-15 for kind in ours)
    # Turning all vectors alike changes no relation.
    turn = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(3), dtype=torch.float64)).Q
    turned = [(kind.unflatten(-1, (2, 3)) @ turn).flatten(-2) for kind in theirs]
    assert relation_divergence(turned, theirs, 4, VALID).item() == pytest.approx(0, abs=1e-14)


def test_gradients_are_those_of_the_definition() -> None:
    theirs = vectors(4, 3, seed=2)
    ours = [kind.requires_grad_() for kind in vectors(2, 3, seed=1)]
    assert torch.autograd.gradcheck(lambda *kinds: relation_divergence(kinds, theirs, 3, VALID), tuple(ours))


def test_padding_has_no_part_in_loss_and_gradient() -> None:
    ours, theirs = vectors(2, 6, seed=1), vectors(2, 6, seed=2)
    before = relation_divergence(ours, theirs, 4, VALID).item()
    padding = (~VALID)[:, None, :, None]
    ours, theirs = ([kind + 100 * padding for kind in side] for side in (ours, theirs))
    ours = [kind.requires_grad_() for kind in ours]
    loss = relation_divergence(ours, theirs, 4, VALID)
    loss.backward()
    assert loss.item() == pytest.approx(before, rel=1e-13)
    for kind in ours:
        assert kind.grad is not None
        real, padded = (kind.grad.transpose(1, 2)[where] for where in (VALID, ~VALID))
        assert (padded == 0).all() and (real != 0).all()


@pytest.mark.parametrize("count_type", [float, torch.tensor])
def test_parts_of_a_step_add_up_to_the_whole(count_type: type) -> None:
    ours, theirs = vectors(2, 6, seed=1), vectors(4, 6, seed=2)
    positions = count_type(VALID.sum().item())
    parts = [
        relation_divergence(
            [k[b : b + 1] for k in ours], [k[b : b + 1] for k in theirs], 4, VALID[b : b + 1], positions
        )
        for b in range(BATCH)
    ]
    whole = relation_divergence(ours, theirs, 4, VALID).item()
    assert sum(part.item() for part in parts) == pytest.approx(whole, rel=1e-13)


@pytest.mark.parametrize("autocast", [False, True])
def test_half_precision_is_computed_in_float32(autocast: bool) -> None:
    ours = [kind.bfloat16() for kind in vectors(2, 6, seed=1)]
    theirs = [kind.bfloat16() for kind in vectors(2, 6, seed=2)]
    with torch.autocast("cpu", enabled=autocast):
        loss = relation_divergence(ours, theirs, 4, VALID)
    exact = relation_divergence([k.double() for k in ours], [k.double() for k in theirs], 4, VALID)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(exact.item(), rel=1e-5)


def test_a_batch_of_nothing_but_padding_gives_nought_and_not_nan() -> None:
    padding = torch.zeros(BATCH, LENGTH)
    assert relation_divergence(vectors(2, 6, seed=1), vectors(2, 6, seed=2), 4, padding).item() == 0.0


def test_vectors_that_do_not_match_are_refused() -> None:
    with pytest.raises(ValueError, match="3 kinds of vectors of the student against 2"):
        relation_divergence(vectors(2, 6, seed=1), vectors(2, 6, seed=1)[:2], 4)
    with pytest.raises(ValueError, match="12 units for 5 relation heads"):
        relation_divergence(vectors(2, 6, seed=1), vectors(2, 6, seed=1), 5)


@pytest.mark.parametrize(
    ("student", "teacher", "heads"),
    [(768, 768, 48), (384, 768, 48), (384, 1024, 64), (312, 768, 24), (564, 768, 12), (96, 96, 6), (12, 12, 1)],
)
def test_by_default_relation_heads_are_as_many_as_fit_both_widths(student: int, teacher: int, heads: int) -> None:
    assert choose_relation_heads(student, teacher) == heads
    assert student % heads == 0 and teacher % heads == 0


def test_a_number_of_relation_heads_that_fits_is_taken_and_another_refused() -> None:
    assert choose_relation_heads(384, 768, 12) == 12
    for wanted in (0, 5, 768):
        with pytest.raises(ModelError, match=rf"{wanted} relation heads .* 384 .* 768 .* allowed: 1, 2, 3, 4, 6,"):
            choose_relation_heads(384, 768, wanted)
