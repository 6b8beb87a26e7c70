"""Tuning chosen entries in a row is tuning the whole parameters under masked gradients."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice

import pytest
import torch
from torch import Tensor, nn

from bistil_ray.tasks.registry import TASKS
from bistil_ray.train.learned import Learned
from bistil_ray.train.loop import train_step
from bistil_ray.train.memory import Fitting
from bistil_ray.train.objectives import LabelLearning
from bistil_ray.train.optim import make_optimizer
from bistil_ray.train.phase import Batch, Phase

STEPS, LR, CLIP = 6, 0.05, 0.1


def plainly(model: nn.Module, masks: dict[str, Tensor], batches: list[Batch]) -> None:
    """Multiply gradients by the masks, clip and let AdamW move everything."""
    optimizer = make_optimizer(model.parameters(), LR)
    goal = LabelLearning(model, TASKS["pos"])
    for batch in batches:
        goal.losses(batch, goal.counts(batch))["tags"].backward()
        for name, mask in masks.items():
            dict(model.named_parameters())[name].grad *= mask
        nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        optimizer.step()
        optimizer.zero_grad()


def chosen_entries(model: nn.Module, masks: dict[str, Tensor], batches: list[Batch]) -> torch.optim.Optimizer:
    """Do the same by ``train_step``, every batch in two parts, which memory makes out of one."""
    learned = Learned(dict(model.named_parameters()), masks)
    optimizer = make_optimizer(learned.moved.values(), LR)
    phase = Phase(STEPS, LR, clip=CLIP, precision="fp32")
    for batch in batches:
        train_step(Scarce(model), learned, optimizer, [batch], phase, fitting=Fitting())
    return optimizer


class Scarce(LabelLearning):
    """Label learning that runs out of memory, its gradients half made, wherever a batch is whole."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__(model, TASKS["pos"])

    def losses(self, batch: Batch, counts: dict[str, float]) -> dict[str, Tensor]:
        losses = super().losses(batch, counts)
        if len(batch["input_ids"]) > 2:
            losses["tags"].backward()
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return losses


@pytest.fixture
def toys(make_toy: Callable) -> tuple[nn.Module, nn.Module]:
    """Two equal models in float64 without dropout, whose head does not lie row by row in memory."""
    models = make_toy().double().eval(), make_toy().double().eval()
    for model in models:
        model.head.weight.data = model.head.weight.data.t().contiguous().t()
        assert not model.head.weight.is_contiguous()
    return models


def test_chosen_entries_move_as_under_masked_gradients(
    toys: tuple[nn.Module, nn.Module], toy_batches: Callable
) -> None:
    generator = torch.Generator().manual_seed(0)
    one, other = toys
    weights = {"embedding.weight": one.embedding.weight, "head.weight": one.head.weight}
    masks = {name: torch.rand(value.shape, generator=generator) < 0.4 for name, value in weights.items()}
    batches = [batch for (batch,) in islice(toy_batches(0), STEPS)]
    plainly(one, masks, batches)
    chosen_entries(other, masks, batches)
    for (name, expected), found in zip(one.named_parameters(), other.parameters(), strict=True):
        assert torch.allclose(found, expected, rtol=0, atol=1e-12), name


def test_the_optimiser_remembers_chosen_entries_alone(toys: tuple[nn.Module, nn.Module], toy_batches: Callable) -> None:
    model, _ = toys
    masks = {name: torch.zeros_like(value, dtype=torch.bool) for name, value in model.named_parameters()}
    masks["embedding.weight"][1, 2:4] = True
    optimizer = chosen_entries(model, masks, next(toy_batches(0)))
    assert sum(state["exp_avg"].numel() for state in optimizer.state.values()) == 2


def test_a_model_does_not_keep_gradients_that_were_handed_over(toys: tuple[nn.Module, nn.Module]) -> None:
    model, _ = toys
    learned = Learned(dict(model.named_parameters()), {"head.bias": torch.tensor([True, False, False, True])})
    model.head.bias.grad = torch.tensor([1.0, 2.0, 3.0, 4.0], dtype=torch.float64)
    learned.take_gradients()
    assert model.head.bias.grad is None
    assert learned.moved["head.bias"].grad.tolist() == [1, 4]
    assert learned.moved["head.weight"] is model.head.weight
