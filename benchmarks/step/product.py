"""Phase 1 as the product takes it."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor
from transformers import PreTrainedModel

from bistil_ray.models.layers import align_layers
from bistil_ray.train.learned import Learned
from bistil_ray.train.loop import train_step
from bistil_ray.train.memory import micro_batches
from bistil_ray.train.objectives import Distillation
from bistil_ray.train.optim import make_optimizer, round_once
from bistil_ray.train.phase import Phase


class ProductStep:
    """Take optimiser steps of BISTIL's phase 1; ``step(batch)`` gives the two losses."""

    def __init__(
        self, teacher: PreTrainedModel, student: PreTrainedModel, lr: float, precision: str, accumulation: int = 1
    ) -> None:
        """Compare the bare encoders, as step ``distil`` does, each batch in so many parts."""
        layers = teacher.config.num_hidden_layers, student.config.num_hidden_layers
        weights = {"hidden": 1.0, "attention": 1.0}
        self.objective = Distillation(student.base_model, [teacher.base_model], align_layers(*layers), weights)
        round_once(self.objective.teachers, precision)
        self.learned = Learned(dict(self.objective.model.named_parameters()))
        self.optimizer = make_optimizer(self.learned.moved.values(), lr)
        self.phase = Phase(steps=1, lr=lr, precision=precision)
        self.accumulation = accumulation

    def __call__(self, batch: Mapping[str, Tensor]) -> dict[str, float]:
        """Take one step."""
        parts = micro_batches(batch, self.accumulation)
        losses, _ = train_step(self.objective, self.learned, self.optimizer, parts, self.phase)
        return losses
