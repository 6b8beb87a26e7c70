"""What a training phase is: the batches it sees, what it minimises, its settings, and how far it has come."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor, nn

Batch = Mapping[str, Tensor]
Counts = Mapping[str, float]


class Objective(Protocol):
    """What is minimised."""

    model: nn.Module

    def counts(self, batch: Batch) -> dict[str, float]:
        """Count, per loss term, what this micro-batch contributes to the denominator."""

    def losses(self, batch: Batch, counts: Counts) -> dict[str, Tensor]:
        """Give the weighted loss terms of this micro-batch, each over its global count; their sum is minimised."""


@dataclass(frozen=True)
class Phase:
    """The settings of one training phase."""

    steps: int
    lr: float
    warmup: float = 0.0
    clip: float = 1.0
    precision: str = "auto"
    seed: int = 0
    log_every: int = 20
    checkpoint_seconds: float = 120.0
    average: float = 0.0
    """Share of the steps, the last ones, whose weights are averaged to what the phase leaves."""
    languages: tuple[str, ...] = ()
    """What the numbers in ``language`` of a batch stand for, to name a batch by."""


@dataclass
class Progress:
    """Where a phase stands: what a checkpoint holds besides tensors."""

    step: int = 0
    tokens: int = 0
    seconds: float = 0.0
    skipped: int = 0
    cuts: int = 1
    """Parts that memory forces every micro-batch into."""
    early: Sequence[float] = (0.0, 0)
    """Sum and number of the losses in the first tenth of the steps, and in ``late`` of those in the last."""
    late: Sequence[float] = (0.0, 0)
    terms: dict[str, float] = field(default_factory=dict)


Report = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Surroundings:
    """What a training is given by where it runs."""

    checkpoints: Path | None = None
    """Where it saves, and goes on from; nowhere, and from the start, if there is no such place."""
    report: Report = lambda metrics: None
    """Hears how far it has come."""
    is_to_end: Callable[[], bool] = lambda: False
    """Tells whether it should save and end; a SIGTERM says the same."""
    writes: bool = True
    """False for the ranks that save nothing, since another does."""


ALONE = Surroundings()
"""Nowhere to save and nobody to tell."""
