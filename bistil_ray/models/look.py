"""What is wanted of a forward pass, as a value: so one pass of a teacher can answer several students."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor
from transformers import PreTrainedModel

from .heads import model_inputs
from .logits_at import head_looking_at
from .states import Observed, observe

Thing = TypeVar("Thing")
Places = Callable[[Mapping[str, Tensor]], Tensor]
"""Gives the positions (BT, bool) of a batch that a head looks at."""


class Wanted(NamedTuple):
    """States, and layers for their maps or vectors, by number as in ``observe``; and where the head looks.

    With several ``places`` that is wherever one of them says so, without any it is everywhere.
    """

    hidden: tuple[int, ...] = ()
    maps: tuple[int, ...] = ()
    vectors: tuple[int, ...] = ()
    places: tuple[Places, ...] = ()

    def joined_with(self, other: Wanted) -> Wanted:
        """Want what either wants, each thing once."""
        return Wanted(
            _each_once(self.hidden + other.hidden),
            _each_once(self.maps + other.maps),
            _each_once(self.vectors + other.vectors),
            _each_once(self.places + other.places),
        )

    def holds(self, other: Wanted) -> bool:
        """Tell whether whoever has this has all that ``other`` wants."""
        return all(set(theirs) <= set(mine) for mine, theirs in zip(self, other, strict=True))

    def positions(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Give the positions (BT) of ``batch`` that the head looks at, where there are ``places``."""
        return torch.stack([places(batch) for places in self.places]).any(0)


Look = Callable[[PreTrainedModel, Mapping[str, Tensor], Wanted], Observed]


def look_at(model: PreTrainedModel, batch: Mapping[str, Tensor], wanted: Wanted) -> Observed:
    """Run ``model`` on a batch once and keep what is wanted; logits (1, M, V) are those of M places, if they are."""
    with head_looking_at(model, wanted.positions(batch)) if wanted.places else nullcontext():
        return observe(model, model_inputs(model, batch), wanted.hidden, wanted.maps, wanted.vectors)


def _each_once(things: tuple[Thing, ...]) -> tuple[Thing, ...]:
    return tuple(dict.fromkeys(things))
