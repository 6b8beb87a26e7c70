"""When memory runs out, batches are cut smaller, and nothing else changes."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from bistil_ray.errors import TrainingError
from bistil_ray.tasks.registry import TASKS
from bistil_ray.train.learned import Learned
from bistil_ray.train.loop import run_phase, train_step
from bistil_ray.train.memory import Fitting, is_out_of_memory
from bistil_ray.train.objectives import LabelLearning
from bistil_ray.train.optim import make_optimizer
from bistil_ray.train.phase import Batch, Phase, Surroundings

CPU = "[enforce fail at alloc_cpu.cpp:127] . DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."


class Small(LabelLearning):
    """Label learning on a machine that has room for so many rows, which it finds out at the end of a backward pass."""

    def __init__(self, model: nn.Module, rows: int, problem: RuntimeError) -> None:
        super().__init__(model, TASKS["pos"])
        self.rows, self.problem, self.sizes = rows, problem, list[int]()

    def losses(self, batch: Batch, counts: dict[str, float]) -> dict[str, Tensor]:
        self.sizes.append(len(batch["input_ids"]))
        losses = super().losses(batch, counts)
        if self.sizes[-1] > self.rows:
            sum(losses.values()).backward()  # half a step's gradients are there when it happens
            raise self.problem
        return losses


def gradients(goal: LabelLearning, batch: list[Batch], fitting: Fitting) -> dict[str, Tensor]:
    """Take a step at a rate of 0: what the gradients were is left in Adam's first moment."""
    named = dict(goal.model.named_parameters())
    optimizer = make_optimizer(named.values(), 0.0)
    train_step(goal, Learned(named), optimizer, batch, Phase(1, 0.0, clip=1e9, precision="fp32"), fitting=fitting)
    return {name: optimizer.state[value]["exp_avg"] for name, value in named.items()}


def make_batch(rows: int) -> list[Batch]:
    ids = torch.randint(11, (rows, 5), generator=torch.Generator().manual_seed(1))
    return [{"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": ids % 4}]


@pytest.mark.parametrize("problem", [torch.OutOfMemoryError("CUDA out of memory."), RuntimeError(CPU)])
def test_the_gradients_are_those_of_the_whole_batch(
    problem: RuntimeError, make_toy: Callable, caplog: pytest.LogCaptureFixture
) -> None:
    whole = gradients(LabelLearning(make_toy().double().eval(), TASKS["pos"]), make_batch(7), Fitting())
    fitting, small = Fitting(), Small(make_toy().double().eval(), 2, problem)
    with caplog.at_level(logging.WARNING):
        parted = gradients(small, make_batch(7), fitting)
    assert small.sizes == [7, 4, 2, 2, 2, 1]
    assert fitting.cuts == 4
    assert "micro-batches of 7 rows: going on with 4" in caplog.text
    for name, value in whole.items():
        assert torch.allclose(parted[name], value, rtol=0, atol=1e-12), name


def test_a_row_that_does_not_fit_is_told(make_toy: Callable) -> None:
    with pytest.raises(TrainingError, match="a single row of 5 tokens does not fit into memory: lower"):
        gradients(Small(make_toy(), 0, torch.OutOfMemoryError("")), make_batch(4), Fitting())


def test_other_errors_are_left_alone(make_toy: Callable) -> None:
    with pytest.raises(RuntimeError, match="shape"):
        gradients(Small(make_toy(), 2, RuntimeError("shape mismatch")), make_batch(4), Fitting())
    assert not is_out_of_memory(RuntimeError("CUDA error: device-side assert triggered"))


def test_what_fits_is_found_out_once_and_kept_in_the_checkpoint(
    tmp_path: Path, make_toy: Callable, toy_batches: Callable
) -> None:
    problem = torch.OutOfMemoryError("CUDA out of memory.")
    for steps, sizes in ((2, [3, 2, 1, 2, 1]), (3, [2, 1])):
        goal = Small(make_toy(), 2, problem)
        progress = run_phase(goal, Phase(steps, 0.01, precision="fp32"), toy_batches, Surroundings(tmp_path))
        assert (goal.sizes, progress.cuts) == (sizes, 2)
