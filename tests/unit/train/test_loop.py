"""The training loop: what a seed fixes, what masks and bad numbers leave alone, what is reported."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import cycle, islice

import pytest
import torch
from torch import Tensor, nn

from bistil_ray.errors import TrainingError
from bistil_ray.tasks.registry import TASKS
from bistil_ray.train.loop import run_phase
from bistil_ray.train.numbers import MAX_SKIPPED, loss_warning
from bistil_ray.train.objectives import LabelLearning
from bistil_ray.train.phase import Batch, Phase, Progress, Surroundings

PHASE = Phase(steps=8, lr=0.05, precision="fp32", log_every=3, seed=1)


class Poisoned(LabelLearning):
    """Label learning whose loss is not a number in some calls."""

    def __init__(self, model: nn.Module, bad: set[int]) -> None:
        super().__init__(model, TASKS["pos"])
        self.bad, self.calls = bad, 0

    def losses(self, batch: Batch, counts: dict[str, float]) -> dict[str, Tensor]:
        (name, loss), *_ = super().losses(batch, counts).items()
        self.calls += 1
        return {name: loss * math.nan if self.calls - 1 in self.bad else loss}


def weights(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in model.named_parameters()}


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one)


def test_a_seed_fixes_the_weights_and_another_gives_others(make_toy: Callable, toy_batches: Callable) -> None:
    finals = []
    for seed in (1, 1, 2):
        model = make_toy()
        run_phase(LabelLearning(model, TASKS["pos"]), Phase(4, 0.05, precision="fp32", seed=seed), toy_batches)
        finals.append(weights(model))
    assert same(finals[0], finals[1])
    assert not same(finals[0], finals[2])


def test_masks_keep_what_is_outside_of_them_bit_for_bit(make_toy: Callable, toy_batches: Callable) -> None:
    model = make_toy()
    before = weights(model)
    generator = torch.Generator().manual_seed(0)
    masks = {"embedding.weight": torch.rand(11, 6, generator=generator) < 0.3}
    run_phase(LabelLearning(model, TASKS["pos"]), PHASE, toy_batches, masks=masks)
    after = weights(model)
    changed = after["embedding.weight"] != before["embedding.weight"]
    assert not changed[~masks["embedding.weight"]].any()
    assert changed[masks["embedding.weight"]].all()
    assert not torch.equal(after["head.weight"], before["head.weight"])


def test_masked_gradients_do_not_count_when_clipping(make_toy: Callable, toy_batches: Callable) -> None:
    norms: list[dict[str, float]] = []
    nothing = {name: torch.zeros_like(value, dtype=torch.bool) for name, value in make_toy().named_parameters()}
    phase = Phase(1, 0.05, precision="fp32", log_every=1)
    run_phase(
        LabelLearning(make_toy(), TASKS["pos"]), phase, toy_batches, Surroundings(report=norms.append), masks=nothing
    )
    assert norms[0]["gradient_norm"] == 0


def test_a_batch_that_gives_nan_changes_nothing_and_is_passed_over(make_toy: Callable, toy_batches: Callable) -> None:
    model = make_toy()
    seen: list[dict[str, Tensor]] = [weights(model)]
    progress = run_phase(
        Poisoned(model, bad={2}), PHASE, toy_batches, after_step=lambda progress: seen.append(weights(model))
    )
    assert same(seen[2], seen[3])
    assert not same(seen[3], seen[4])
    assert progress.step == PHASE.steps
    assert all(bool(value.isfinite().all()) for value in seen[-1].values())


def test_ten_bad_batches_in_a_row_end_the_phase(make_toy: Callable, toy_batches: Callable) -> None:
    phase = Phase(40, 0.05, precision="fp32")
    scattered = {step for step in range(40) if step % MAX_SKIPPED}
    assert run_phase(Poisoned(make_toy(), scattered), phase, toy_batches).step == 40
    with pytest.raises(TrainingError, match="up to step 12 "):
        run_phase(Poisoned(make_toy(), set(range(3, 40))), phase, toy_batches)


def test_the_batch_whose_numbers_are_bad_is_named(make_toy: Callable, toy_batches: Callable) -> None:
    def batches(start: int) -> Iterator[Sequence[Batch]]:
        for step, (batch,) in enumerate(toy_batches(start), start):
            yield [{**batch, "language": torch.full((3,), step % 2)}]

    phase = Phase(40, 0.05, precision="fp32", languages=("en", "sw"))
    with pytest.raises(TrainingError, match=r"up to step 9, a batch of 'sw', .*tags nan.*lower lr"):
        run_phase(Poisoned(make_toy(), set(range(40))), phase, batches)


def test_a_loss_that_does_not_fall_is_told_at_the_end(make_toy: Callable, toy_batches: Callable) -> None:
    for lr, falls in ((0.05, True), (0.0, False)):
        seen: list[dict[str, float]] = []
        phase = Phase(60, lr, precision="fp32")
        run_phase(
            LabelLearning(make_toy().eval(), TASKS["pos"]),
            phase,
            endless(toy_batches),
            Surroundings(report=seen.append),
        )
        assert ("warning" not in seen[-1]) == falls
        assert all("warning" not in figures for figures in seen[:-1])


def test_nothing_is_said_of_a_loss_of_few_steps() -> None:
    assert loss_warning(Progress(early=(4.0, 4), late=(8.0, 4))) is None
    assert "did not fall: 1 on average" in str(loss_warning(Progress(early=(5.0, 5), late=(10.0, 5))))


def endless(toy_batches: Callable) -> Callable[[int], Iterator[Sequence[Batch]]]:
    """The same six batches for ever, so that what was learned shows."""
    first = list(islice(toy_batches(0), 6))
    return lambda start: cycle(first)


def test_figures_come_every_few_steps_and_at_the_end(make_toy: Callable, toy_batches: Callable) -> None:
    seen: list[dict[str, float]] = []
    progress = run_phase(LabelLearning(make_toy(), TASKS["pos"]), PHASE, toy_batches, Surroundings(report=seen.append))
    assert [figures["step"] for figures in seen] == [3, 6, 8]
    assert seen[-1]["tokens"] == 8 * 15 == progress.tokens
    assert seen[-1]["loss"] == seen[-1]["loss_tags"] == progress.terms["tags"]


def test_only_the_batches_of_the_phase_are_read(make_toy: Callable, toy_batches: Callable) -> None:
    read: list[int] = []

    def counted(start: int) -> Iterator[Sequence[Batch]]:
        for step, batch in enumerate(toy_batches(start), start=start):
            read.append(step)
            yield batch

    assert run_phase(LabelLearning(make_toy(), TASKS["pos"]), PHASE, counted).step == 8
    assert read == list(range(8))


def test_no_steps_leave_the_model_as_it_is(make_toy: Callable, toy_batches: Callable) -> None:
    model = make_toy()
    assert run_phase(LabelLearning(model, TASKS["pos"]), Phase(0, 0.05), toy_batches) == Progress()
    assert same(weights(model), weights(make_toy()))
