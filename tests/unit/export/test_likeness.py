"""A difference is found wherever it is, unless it is at padding."""

from __future__ import annotations

from math import inf, nan

import pytest
import torch
from torch import Tensor
from transformers.utils import ModelOutput

from bistil_ray.data.batches import Features
from bistil_ray.export.likeness import largest_difference

FEATURES: list[Features] = [{"input_ids": [5, 6, 7, 8]}, {"input_ids": [9, 7]}]
PAD = 0


class Doubling:
    """A model whose output at each token is twice its id, but for the one named; ``padding`` is what it gives there."""

    device, training = torch.device("cpu"), False
    config = None

    def __init__(self, padding: float = 0.0, **wrong: float) -> None:
        self.padding, self.wrong = padding, {int(name[2:]): value for name, value in wrong.items()}

    def forward(self, input_ids: Tensor) -> ModelOutput:
        values = 2.0 * input_ids
        for token, value in self.wrong.items():
            values[input_ids == token] = value
        return ModelOutput({"logits": values.masked_fill(input_ids == PAD, self.padding)[..., None].expand(-1, -1, 3)})

    __call__ = forward

    def eval(self) -> None: ...

    def train(self, mode: bool) -> None: ...


@pytest.mark.parametrize(
    ("other", "difference"),
    [
        (Doubling(), 0.0),
        (Doubling(padding=99.0), 0.0),
        (Doubling(padding=nan), 0.0),
        (Doubling(id8=17.0), 1 / 17),
        (Doubling(id9=19.0, id5=10.5), 1 / 19),
        (Doubling(id7=nan), inf),
    ],
)
def test_the_largest_difference_is_a_share_of_the_output(other: Doubling, difference: float) -> None:
    assert largest_difference(Doubling(), other, FEATURES, PAD) == pytest.approx(difference)


def test_outputs_without_positions_are_compared_whole() -> None:
    class Classes(Doubling):
        def forward(self, input_ids: Tensor) -> ModelOutput:
            return ModelOutput({"logits": super().forward(input_ids)["logits"].sum(1).repeat(1, 2)})

        __call__ = forward

    assert largest_difference(Classes(), Classes(), FEATURES, PAD) == 0
    assert largest_difference(Classes(), Classes(id9=0.0), FEATURES, PAD) == pytest.approx(18 / 33)
