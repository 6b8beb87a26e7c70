"""The mean of what was learned over the last steps of a phase, in the place of what the very last one left."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_swa_multi_avg_fn


class Average:
    """Follows parameters over the last ``share`` of ``steps`` steps, one at least.

    ``mean`` is theirs so far, by name with ``mean/`` before it; a checkpoint holds it beside them. Schmidt et al.
    (2023) found that weights so averaged carry over to other languages better.
    """

    def __init__(self, moved: Mapping[str, nn.Parameter], share: float, steps: int) -> None:
        """Follow ``moved``; nothing at all where ``share`` is 0."""
        self._moved = moved if share else {}
        self._left_out = steps - max(1, round(share * steps))
        self.mean: dict[str, Tensor] = {f"mean/{name}": value.detach().clone() for name, value in self._moved.items()}

    def take_in(self, step: int) -> None:
        """Count in what the parameters are after ``step`` steps."""
        if self.mean and step > self._left_out:
            get_swa_multi_avg_fn()(list(self.mean.values()), list(self._moved.values()), step - self._left_out - 1)

    @torch.no_grad()
    def take_over(self) -> None:
        """Make the parameters what they were on average."""
        for name, value in self._moved.items():
            value.copy_(self.mean[f"mean/{name}"])
