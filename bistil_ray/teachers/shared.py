"""Teachers that several students learn from at once: one forward pass for all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.modeling_outputs import MaskedLMOutput

from ..models.look import Look, Wanted, look_at
from ..models.states import Observed


class Teaching(NamedTuple):
    """The teachers of a student, how it looks at them, and whether other students are made from them as well."""

    models: Sequence[PreTrainedModel]
    look: Look = look_at
    shared: bool = False


class SharedLook:
    """Looks at masked language models, or their encoders alone, once for all who see the same batch.

    A pass keeps what anybody has wanted so far, so from the second batch on the first who asks has it made for all.
    Whether batches are the same is seen from what is in them: nobody is ever told of another batch. Passes are kept
    until ``forget``.
    """

    def __init__(self, teachers: Sequence[PreTrainedModel]) -> None:
        """Look at ``teachers``."""
        self._whole: dict[nn.Module, PreTrainedModel] = {teacher.base_model: teacher for teacher in teachers}
        self._wanted: dict[nn.Module, Wanted] = {}
        self._passes: list[_Pass] = []

    def __call__(self, model: PreTrainedModel, batch: Mapping[str, Tensor], wanted: Wanted) -> Observed:
        """Give what ``look_at`` gives; logits may differ by rounding, as they come out of a larger product."""
        encoder = model.base_model
        by_all = self._wanted[encoder] = self._wanted.get(encoder, Wanted()).joined_with(wanted)
        for known in self._passes:
            if known.answers(encoder, batch, wanted):
                return known.part(wanted)
        asked = self._whole[encoder] if by_all.places else model
        made = _Pass(encoder, batch, by_all, look_at(asked, batch, by_all))
        self._passes.append(made)
        return made.part(wanted)

    def forget(self) -> None:
        """Let go of all passes: nobody will ask for these batches again."""
        self._passes.clear()


@dataclass(frozen=True)
class _Pass:
    """A forward pass that was made, and what it kept."""

    encoder: nn.Module
    batch: Mapping[str, Tensor]
    wanted: Wanted
    observed: Observed

    def answers(self, encoder: nn.Module, batch: Mapping[str, Tensor], wanted: Wanted) -> bool:
        same = encoder is self.encoder and batch.keys() == self.batch.keys() and self.wanted.holds(wanted)
        return same and all(torch.equal(values, batch[name]) for name, values in self.batch.items())

    def part(self, wanted: Wanted) -> Observed:
        """Give what one student wants, as if the pass had been made for it."""
        seen, own = self.observed, self.wanted
        output = seen.output
        if wanted.places and wanted.places != own.places:
            rows_M = wanted.positions(self.batch)[own.positions(self.batch)]
            output = MaskedLMOutput(logits=seen.output.logits[:, rows_M])
        return Observed(
            output,
            tuple(seen.hidden[own.hidden.index(state)] for state in wanted.hidden),
            tuple(seen.attention[own.maps.index(layer)] for layer in wanted.maps),
            tuple(seen.vectors[own.vectors.index(layer)] for layer in wanted.vectors),
        )
