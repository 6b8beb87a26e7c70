"""The pull towards the start is a mean absolute difference, added once per step however the batch is cut."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from bistil_ray.tasks.registry import TASKS
from bistil_ray.train.learned import Learned
from bistil_ray.train.loop import train_step
from bistil_ray.train.objectives import LabelLearning
from bistil_ray.train.optim import make_optimizer
from bistil_ray.train.phase import Batch, Phase
from bistil_ray.train.pull import Pull


def moved(shapes: dict[str, tuple[int, ...]]) -> tuple[dict[str, nn.Parameter], dict[str, Tensor]]:
    """Parameters in float64 and where they started; some entries have not moved."""
    generator = torch.Generator().manual_seed(2)
    start = {name: torch.randn(shape, generator=generator, dtype=torch.float64) for name, shape in shapes.items()}
    steps = {name: torch.randn(shape, generator=generator, dtype=torch.float64) for name, shape in shapes.items()}
    named = {name: nn.Parameter(start[name] + steps[name] * (steps[name] > -0.5)) for name in shapes}
    return named, start


def test_penalty_and_gradients_are_those_of_the_mean_absolute_difference() -> None:
    named, start = moved({"matrix": (5, 4), "bias": (3,), "free": (2,)})
    del start["free"]
    named["matrix"].grad = torch.full((5, 4), 0.25, dtype=torch.float64)
    penalty = Pull(start, 0.3).add_gradients(named)
    expected = 0.3 * torch.cat([(named[name] - start[name]).flatten() for name in start]).abs().sum() / 23
    gradients = torch.autograd.grad(expected, [named["matrix"], named["bias"]])
    assert penalty == pytest.approx(expected.item(), rel=1e-12)
    assert torch.allclose(named["matrix"].grad, gradients[0] + 0.25, rtol=0, atol=1e-15)
    assert named["bias"].grad is not None and torch.allclose(named["bias"].grad, gradients[1], rtol=0, atol=1e-15)
    assert named["free"].grad is None


def test_weights_at_their_start_are_not_pulled() -> None:
    named, _ = moved({"matrix": (5, 4)})
    pull = Pull({"matrix": named["matrix"].detach().clone()}, 0.3)
    assert pull.add_gradients(named) == 0
    assert not named["matrix"].grad.any()


@pytest.mark.parametrize("sizes", [[1, 1, 1], [2, 1], [3, 0]])
def test_the_pull_counts_once_however_a_batch_is_cut(
    sizes: list[int], make_toy: Callable, toy_batches: Callable
) -> None:
    ((whole,),) = (next(toy_batches(0)),)
    parts: list[Batch] = [
        {name: part[index] for name, part in {name: value.split(sizes) for name, value in whole.items()}.items()}
        for index in range(len(sizes))
    ]
    found = []
    for batch in ([whole], parts):
        model = make_toy().double().eval()
        named = dict(model.named_parameters())
        pull = Pull({name: value.detach() - 1 for name, value in named.items()}, 0.7)
        # A rate of 0: the step is taken, and what the gradients were is left in Adam's first moment.
        optimizer = make_optimizer(named.values(), 0.0)
        phase = Phase(1, 0.0, clip=1e9, precision="fp32")
        terms, norm = train_step(LabelLearning(model, TASKS["pos"]), Learned(named), optimizer, batch, phase, pull=pull)
        found.append((terms, norm, [optimizer.state[value]["exp_avg"] for value in named.values()]))
    (terms, norm, moments), (cut_terms, cut_norm, cut_moments) = found
    assert cut_terms == pytest.approx(terms, rel=1e-12) and terms["l1"] == pytest.approx(0.7, rel=1e-12)
    assert cut_norm == pytest.approx(norm, rel=1e-12)
    assert all(torch.allclose(a, b, rtol=0, atol=1e-12) for a, b in zip(moments, cut_moments, strict=True))
