"""Losses computed part by part are the plain ones, gradients included, and never hold what they need for the whole."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from bistil_ray.losses import by_parts
from bistil_ray.losses.attention import (
    Vectors,
    attention_map,
    attention_mse,
    attention_mse_of_vectors,
    group_heads,
    valid_pairs,
)
from bistil_ray.losses.by_parts import sum_by_parts
from bistil_ray.losses.logits import kl_divergence, soft_cross_entropy
from bistil_ray.losses.relation import relation_divergence

BATCH, LENGTH, SIZE = 5, 7, 4
VALID = torch.arange(LENGTH) < torch.tensor([7, 3, 1, 7, 5])[:, None]


@pytest.fixture(autouse=True, params=[1, 2, 1000], ids=["one sequence a part", "two", "all at once"])
def small_parts(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a part be so many sequences of two heads."""
    monkeypatch.setitem(by_parts.ENTRIES, "cpu", request.param * 2 * LENGTH**2)


def random(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def layers(number: int, heads: int, masked: bool, seed: int, size: int = SIZE) -> list[Vectors]:
    mask = (VALID[:, None, None, :]).expand(-1, -1, LENGTH, -1) if masked else None
    made = (random(3, BATCH, heads, LENGTH, size, seed=10 * seed + layer) for layer in range(number))
    return [Vectors(*(part.requires_grad_() for part in parts), mask=mask) for parts in made]


def maps(layers: list[Vectors]) -> list[Tensor]:
    return [attention_map(layer.query, layer.key, layer.mask) for layer in layers]


def gradients(loss: Tensor, layers: list[Vectors]) -> list[Tensor]:
    return list(torch.autograd.grad(3 * loss, [part for layer in layers for part in layer[:2]]))


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(("heads", "size"), [(2, SIZE), (4, SIZE), (2, 6)], ids=["alike", "more heads", "larger heads"])
def test_attention_mse_of_vectors_is_that_of_their_maps(masked: bool, heads: int, size: int) -> None:
    student, teacher = layers(2, 2, masked, seed=1), layers(2, heads, masked, seed=2, size=size)
    pairs = valid_pairs(VALID) if masked else None
    for entries in (None, 50.0):
        ours = attention_mse_of_vectors(student, teacher, pairs, entries)
        targets = [group_heads(map_BHTT.detach(), 2) for map_BHTT in maps(teacher)]
        plain = attention_mse(maps(student), targets, pairs, entries)
        torch.testing.assert_close(ours, plain, rtol=1e-13, atol=0)
        for mine, expected in zip(gradients(ours, student), gradients(plain, student), strict=True):
            torch.testing.assert_close(mine, expected, rtol=1e-11, atol=1e-15)


@pytest.mark.parametrize("entropy", [False, True])
def test_divergences_of_logits_are_the_plain_ones(entropy: bool) -> None:
    student, teacher = (random(BATCH, LENGTH, 2 * LENGTH**2, seed=seed).requires_grad_() for seed in (1, 2))
    target, ours = (teacher.detach() / 2).softmax(-1), (student / 2).log_softmax(-1)
    if entropy:
        plain, found = -(target * ours).sum(-1).mean(), soft_cross_entropy(student, teacher.detach(), 2.0)
    else:
        plain, found = (
            4 * (target * (target.log() - ours)).sum(-1).mean(),
            kl_divergence(student, teacher.detach(), 2.0),
        )
    torch.testing.assert_close(found, plain, rtol=1e-12, atol=0)
    (mine,), (expected,) = (torch.autograd.grad(loss, student, retain_graph=True) for loss in (found, plain))
    torch.testing.assert_close(mine, expected, rtol=1e-10, atol=1e-15)


@pytest.mark.parametrize("masked", [False, True])
def test_relation_divergence_is_that_of_whole_relations(masked: bool) -> None:
    (ours, *_, mask), (theirs, *_) = layers(1, 2, masked, seed=1)[0], layers(1, 2, masked, seed=2)[0]
    student, teacher = attention_map(ours, ours, mask), attention_map(theirs.detach(), theirs.detach(), mask)
    pairs = valid_pairs(VALID).unsqueeze(1) if masked else torch.ones(BATCH, 1, LENGTH, LENGTH)
    divergence = torch.xlogy(teacher, teacher) - teacher * (student + (student == 0)).log()
    plain = (divergence * pairs).sum() / (2 * (VALID.sum() if masked else BATCH * LENGTH))
    found = relation_divergence([ours], [theirs.detach()], 2, VALID if masked else None)
    torch.testing.assert_close(found, plain, rtol=1e-12, atol=0)
    (mine,), (expected,) = (torch.autograd.grad(loss, ours) for loss in (found, plain))
    torch.testing.assert_close(mine, expected, rtol=1e-10, atol=1e-15)


def test_of_no_rows_the_loss_and_its_gradient_are_nothing() -> None:
    student = random(0, 3, seed=1).requires_grad_()
    loss = soft_cross_entropy(student, random(0, 3, seed=2), rows=4.0)
    (gradient,) = torch.autograd.grad(loss, student)
    assert loss.item() == 0.0 and gradient.shape == (0, 3)


def test_attention_mse_of_vectors_teaches_no_teacher_and_no_values() -> None:
    student, teacher = layers(1, 2, False, seed=1), layers(1, 2, False, seed=2)
    attention_mse_of_vectors(student, teacher).backward()
    assert student[0].query.grad is not None and student[0].value.grad is None
    assert teacher[0].query.grad is None and teacher[0].key.grad is None


def test_where_the_keys_alone_learn_they_get_their_gradients() -> None:
    (ours,), teacher = layers(1, 2, False, seed=1), layers(1, 2, False, seed=2)
    attention_mse_of_vectors([ours], teacher).backward()
    expected, ours.key.grad = ours.key.grad, None
    attention_mse_of_vectors([ours._replace(query=ours.query.detach())], teacher).backward()
    torch.testing.assert_close(ours.key.grad, expected, rtol=0, atol=0)


def test_without_gradients_none_are_computed() -> None:
    student, teacher = layers(1, 2, False, seed=1), layers(1, 2, False, seed=2)
    with torch.no_grad():
        assert not attention_mse_of_vectors(student, teacher).requires_grad


def test_no_part_is_larger_than_allowed(small_parts: None) -> None:
    rows: list[int] = []

    def part(values: Tensor, missing: None) -> Tensor:
        rows.append(len(values))
        return values.square().sum()

    values = random(BATCH, 2, LENGTH, LENGTH, seed=3).requires_grad_()
    total = sum_by_parts(part, (values, None), entries=2 * LENGTH**2)
    allowed = by_parts.ENTRIES["cpu"] // (2 * LENGTH**2)
    assert sum(rows) == BATCH and max(rows) <= allowed
    (gradient,) = torch.autograd.grad(total, values)
    torch.testing.assert_close(gradient, 2 * values, rtol=1e-14, atol=0)


def test_unlike_numbers_of_layers_are_refused() -> None:
    with pytest.raises(ValueError, match="2 attention maps of the student, 1 of the teacher"):
        attention_mse_of_vectors(layers(2, 2, False, seed=1), layers(1, 2, False, seed=2))
