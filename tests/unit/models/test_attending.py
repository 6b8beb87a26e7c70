"""Attention whose maps are never whole is plain attention, gradients included."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from bistil_ray.losses import by_parts
from bistil_ray.losses.attention import attention_map
from bistil_ray.models.attending import attend

BATCH, HEADS, LENGTH, SIZE = 5, 2, 7, 4
FIRST = torch.arange(LENGTH) < torch.tensor([7, 3, 1, 7, 5])[:, None]
MASKS = {
    "none": None,
    "padding": FIRST[:, None, None, :].expand(-1, 1, LENGTH, -1),
    "the same for all": torch.ones(LENGTH, LENGTH).tril().bool()[None, None],
}


def plain(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, scale: float | None) -> Tensor:
    return attention_map(query, key, mask, scale) @ value


@pytest.mark.parametrize("scale", [None, 0.3])
@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
@pytest.mark.parametrize("sequences", [1, 2, 100])
def test_attention_in_parts_is_plain_attention(
    monkeypatch: pytest.MonkeyPatch, sequences: int, mask: Tensor | None, scale: float | None
) -> None:
    vectors = torch.randn(3, BATCH, HEADS, LENGTH, SIZE, generator=torch.Generator().manual_seed(0)).double()
    monkeypatch.setitem(by_parts.ENTRIES, "cpu", sequences * HEADS * LENGTH**2)
    found = []
    for attention in (attend, plain):
        parts = [part.clone().requires_grad_() for part in vectors]
        mixed = attention(*parts, mask, scale)
        found.append([mixed, *torch.autograd.grad(mixed.pow(3).sum(), parts)])
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-13)


def test_in_bf16_it_is_plain_attention_of_rounded_numbers() -> None:
    vectors = torch.randn(3, BATCH, HEADS, LENGTH, SIZE, generator=torch.Generator().manual_seed(0)).bfloat16()
    weights = torch.randn(BATCH, HEADS, LENGTH, SIZE, generator=torch.Generator().manual_seed(1))
    found = []
    for attention, dtype in ((attend, torch.bfloat16), (plain, torch.float32)):
        parts = [part.to(dtype).requires_grad_() for part in vectors]
        mixed = attention(*parts, MASKS["padding"], None)
        assert mixed.dtype == dtype
        found.append([mixed, *torch.autograd.grad((mixed * weights).sum(), parts)])
    for ours, theirs in zip(*found, strict=True):
        error = (ours.float() - theirs).norm() / theirs.norm()
        assert error < 0.01
