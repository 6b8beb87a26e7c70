"""An L1 penalty that draws weights back to where they started."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Pull:
    """The penalty ``strength x mean |w - w0|`` over all entries of the parameters in ``start``, which holds the ``w0``.

    composable-sft learns language SFTs under it, with strength 0.1: most weights hardly move, and those that do stand
    out. It is a term of an optimiser step, not of a batch: neither accumulation nor world size changes it.
    """

    start: Mapping[str, Tensor]
    strength: float

    @torch.no_grad()
    def add_gradients(self, named: Mapping[str, nn.Parameter]) -> float:
        """Add the penalty's gradients, which are 0 where a weight is at its start, to those of ``named``; give it."""
        share = self.strength / sum(start.numel() for start in self.start.values())
        distances = []
        for name, start in self.start.items():
            moved = named[name] - start
            distances.append(torch.linalg.vector_norm(moved, ord=1))
            gradient = moved.sign_().mul_(share)
            known = named[name].grad
            named[name].grad = gradient if known is None else known.add_(gradient)
        return share * float(torch.stack(distances).sum())
