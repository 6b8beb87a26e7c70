"""The learning rate of every step, and the optimiser's settings."""

from __future__ import annotations

import pytest
import torch

from bistil_ray.train.optim import autocast, learning_rate, make_optimizer


def test_the_rate_falls_in_a_line_and_would_be_0_after_the_last_step() -> None:
    assert [learning_rate(1.0, step, 5) for step in range(5)] == pytest.approx([1.0, 0.8, 0.6, 0.4, 0.2])


def test_the_rate_rises_to_its_peak_over_the_warmup() -> None:
    rates = [learning_rate(2.0, step, 10, warmup=0.4) for step in range(10)]
    assert rates[:5] == pytest.approx([0.5, 1.0, 1.5, 2.0, 2.0])
    assert rates[5:] == pytest.approx([2.0 * left / 6 for left in (5, 4, 3, 2, 1)])


def test_the_rate_of_a_single_step_is_the_peak() -> None:
    assert learning_rate(0.3, 0, 1, warmup=0.5) == 0.3


def test_the_optimiser_is_adam_without_decay() -> None:
    group = make_optimizer([torch.nn.Parameter(torch.zeros(2))], 0.1).param_groups[0]
    assert (group["betas"], group["eps"], group["weight_decay"]) == ((0.9, 0.999), 1e-8, 0.0)


def test_bf16_is_used_when_asked_for_and_never_for_fp32() -> None:
    cpu = torch.device("cpu")
    layer, values = torch.nn.Linear(2, 2), torch.zeros(1, 2)
    with autocast("bf16", cpu):
        assert layer(values).dtype == torch.bfloat16
    with autocast("fp32", cpu):
        assert layer(values).dtype == torch.float32
