"""What a phase leaves is the mean of its last steps where that is asked for, whatever interrupts it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from bistil_ray.tasks.registry import TASKS
from bistil_ray.train.loop import run_phase
from bistil_ray.train.objectives import LabelLearning
from bistil_ray.train.phase import ALONE, Phase, Progress, Surroundings

PHASE = Phase(steps=8, lr=0.05, warmup=0.3, precision="fp32", seed=3, checkpoint_seconds=0)


class Interrupted(Exception):
    """The machine was taken away."""


Weights = dict[str, Tensor]


@pytest.fixture
def train(make_toy: Callable, toy_batches: Callable) -> Callable[..., tuple[Weights, list[Weights]]]:
    """Give a function that trains a new model, and gives what it was left as and what it was after each step."""

    def run(
        average: float,
        around: Surroundings = ALONE,
        stop: int | None = None,
        masks: dict[str, Tensor] | None = None,
    ) -> tuple[Weights, list[Weights]]:
        model, after = make_toy(), []

        def look(progress: Progress) -> None:
            if progress.step == stop:
                raise Interrupted
            after.append({name: value.detach().clone() for name, value in model.named_parameters()})

        objective = LabelLearning(model, TASKS["pos"])
        run_phase(objective, replace(PHASE, average=average), toy_batches, around, masks=masks, after_step=look)
        return {name: value.detach().clone() for name, value in model.named_parameters()}, after

    return run


@pytest.mark.parametrize(("share", "steps"), [(0.0, 1), (0.01, 1), (0.125, 1), (0.5, 4), (1.0, 8)])
def test_a_phase_leaves_the_mean_of_the_share_of_its_steps(share: float, steps: int, train: Callable) -> None:
    left, after = train(share)
    for name, value in left.items():
        mean = torch.stack([weights[name].double() for weights in after[-steps:]]).mean(0)
        torch.testing.assert_close(value.double(), mean, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("stop", [3, 6, 8])
def test_an_interrupted_phase_leaves_the_same_mean(stop: int, train: Callable, tmp_path: Path) -> None:
    undisturbed, _ = train(0.5)
    with pytest.raises(Interrupted):
        train(0.5, Surroundings(tmp_path), stop)
    assert all(torch.equal(value, undisturbed[name]) for name, value in train(0.5, Surroundings(tmp_path))[0].items())
    again, after = train(0.5, Surroundings(tmp_path))  # its end was reached, and nothing is left to do
    assert not after and all(torch.equal(value, undisturbed[name]) for name, value in again.items())


def test_entries_that_do_not_learn_stay_as_they_were(train: Callable, make_toy: Callable) -> None:
    start = dict(make_toy().named_parameters())
    masks = {
        name: torch.rand(value.shape, generator=torch.Generator().manual_seed(1)) < 0.5 for name, value in start.items()
    }
    left, after = train(1.0, masks=masks)
    for name, mask in masks.items():
        mean = torch.stack([weights[name] for weights in after]).mean(0)
        assert torch.equal(left[name][~mask], start[name][~mask])
        torch.testing.assert_close(left[name][mask], mean[mask])
