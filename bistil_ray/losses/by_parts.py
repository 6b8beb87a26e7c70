"""Sums over a batch, a few sequences at a time: what a loss computes on its way never exists for the whole batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

ENTRIES = {"cpu": 1 << 20, "cuda": 1 << 26}
"""Entries of the largest intermediate tensor of a part, by device: on a CPU what its caches hold of it, on a GPU what
keeps it busy."""


def sum_by_parts(part: Callable[..., Tensor], tensors: Sequence[Tensor | None], entries: int) -> Tensor:
    """``part(*tensors)`` where that is a sum over the first axis of all ``tensors``, computed part by part.

    ``entries`` is the size of the largest tensor that ``part`` would make of one element of that axis; None among the
    tensors is handed on. The gradients are computed along with the sum, while what they need is there, and kept in
    place of it: they cost as much memory as those of the ``tensors`` that require them, and can be had once.
    """
    total: Tensor = _SumByParts.apply(part, entries, *tensors)
    return total


def rows_at_once(device: torch.device, entries: int) -> int:
    """How many elements of the first axis make a part, if each makes a tensor of so many ``entries``."""
    return max(1, ENTRIES.get(device.type, ENTRIES["cpu"]) // max(1, entries))


class _SumByParts(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, part: Callable[..., Tensor], entries: int, *tensors: Tensor | None) -> Tensor:  # noqa: ANN401
        whole = next(tensor for tensor in tensors if tensor is not None)
        rows = rows_at_once(whole.device, entries)
        wanted = [place for place, needed in enumerate(ctx.needs_input_grad[2:]) if needed]
        gradients: dict[int, list[Tensor]] = {place: [] for place in wanted}
        sums = []
        for start in range(0, max(1, len(whole)), rows):  # of nothing the sum is 0, with gradients of nothing
            pieces = [None if tensor is None else tensor[start : start + rows].detach() for tensor in tensors]
            learning = [piece.requires_grad_() for piece in (pieces[place] for place in wanted) if piece is not None]
            with torch.set_grad_enabled(bool(wanted)):
                value = part(*pieces)
            sums.append(value.detach())
            for place, gradient in zip(wanted, torch.autograd.grad(value, learning) if wanted else (), strict=True):
                gradients[place].append(gradient)
        ctx.wanted = wanted
        ctx.save_for_backward(*(torch.cat(gradients[place]) for place in wanted))
        return torch.stack(sums).sum()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        found: list[Tensor | None] = [None] * len(ctx.needs_input_grad)
        for place, kept in zip(ctx.wanted, ctx.saved_tensors, strict=True):
            found[2 + place] = kept * gradient.to(kept.dtype)
        return tuple(found)
