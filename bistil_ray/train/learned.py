"""What an optimiser moves: a model's parameters whole or, under masks, their chosen entries alone."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn


class Learned:
    """The trained parameters of a model, ``whole``, and what the optimiser has in their place, ``moved``, by name.

    Where there is a mask, that is a row of the chosen entries (in row-major order), else the parameter itself. So
    clipping, the optimiser and its memory cost what the chosen entries cost; the others stay as they are bit for bit.
    """

    def __init__(self, whole: Mapping[str, nn.Parameter], masks: Mapping[str, Tensor] | None = None) -> None:
        """Choose the entries where ``masks`` (bool, by name and of the parameters' shapes) are True."""
        self.whole = whole
        self._chosen = {name: mask.reshape(-1).nonzero().squeeze(1) for name, mask in (masks or {}).items()}
        self.moved = dict(whole)
        for name, chosen in self._chosen.items():
            self.moved[name] = nn.Parameter(whole[name].detach().take(chosen))

    def take_gradients(self) -> None:
        """Hand the gradients of chosen entries over to them; those of the parameters they are from are dropped."""
        for name, chosen in self._chosen.items():
            gradient = self.whole[name].grad
            if gradient is not None:
                self.moved[name].grad = gradient.take(chosen)
                self.whole[name].grad = None

    @torch.no_grad()
    def put_back(self) -> None:
        """Write the chosen entries into the parameters they are from."""
        for name, chosen in self._chosen.items():
            self.whole[name].put_(chosen, self.moved[name])
