"""What a training phase is: the batches it sees, what it minimises, its settings, and how far it has come."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
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
    languages: tuple[str, ...] = ()
    """What the numbers in ``language`` of a batch stand for, to name a batch by."""

    @classmethod
    def from_settings(
        cls, settings: Mapping[str, Any], runtime: Mapping[str, Any], steps: int, languages: Sequence[str] = ()
    ) -> Phase:
        """Read a phase from a step's settings, which have the same words."""
        named = {name: settings[name] for name in ("lr", "warmup", "clip", "precision")}
        return cls(
            steps=steps,
            seed=settings["seed"],
            log_every=max(1, min(20, steps // 20)),
            checkpoint_seconds=60 * runtime.get("checkpoint_minutes", 2.0),
            languages=tuple(languages),
            **named,
        )


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
