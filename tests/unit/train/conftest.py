"""A model small enough to train in a test, and batches for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from bistil_ray.train.phase import Batch


class Toy(nn.Module):
    """Eleven ids to four classes, with dropout, so that a step's random numbers matter."""

    def __init__(self) -> None:
        super().__init__()
        self.config = SimpleNamespace(type_vocab_size=0)
        self.embedding = nn.Embedding(11, 6)
        self.dropout = nn.Dropout(0.3)
        self.head = nn.Linear(6, 4)
        generator = torch.Generator().manual_seed(5)
        for parameter in self.parameters():
            parameter.data = torch.randn(parameter.shape, generator=generator)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> SimpleNamespace:
        return SimpleNamespace(logits=self.head(self.dropout(self.embedding(input_ids))))


@pytest.fixture
def make_toy() -> Callable[[], Toy]:
    """A function making the same model each time."""
    return Toy


@pytest.fixture
def toy_batches() -> Callable[[int], Iterator[Sequence[Batch]]]:
    """An endless stream of batches from a step on; a step's batch is always the same."""

    def stream(start: int) -> Iterator[Sequence[Batch]]:
        step = start
        while True:
            generator = torch.Generator().manual_seed(step)
            ids = torch.randint(11, (3, 5), generator=generator)
            yield [{"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": ids % 4}]
            step += 1

    return stream
