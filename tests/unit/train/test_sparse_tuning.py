"""LT-SFT changes the share of weights that it may, the ones that matter most, and goes on after an interruption."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bistil_ray.sparse.select import select_changes
from bistil_ray.tasks.registry import TASKS
from bistil_ray.train.loop import run_phase
from bistil_ray.train.objectives import LabelLearning
from bistil_ray.train.phase import Batch, Phase, Surroundings
from bistil_ray.train.sparse_tuning import SparseTuning, tune_sparsely

DENSE = Phase(steps=7, lr=0.05, warmup=0.3, precision="fp32", seed=3, log_every=1, checkpoint_seconds=0)
SPARSE = Phase(steps=5, lr=0.03, precision="fp32", seed=3, log_every=1, checkpoint_seconds=0)
HEAD = ("head.weight", "head.bias")
DENSITY = 0.2  # of the 66 entries of the embedding
Tune = Callable[..., tuple[SparseTuning, dict[str, Tensor]]]


def weights(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in model.named_parameters()}


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.fixture
def tune(make_toy: Callable, toy_batches: Callable) -> Tune:
    """A function running LT-SFT on a fresh model; gives what it says it did, and the final weights."""

    def run(model: nn.Module | None = None, **settings: Any) -> tuple[SparseTuning, dict[str, Tensor]]:
        model = model or make_toy()

        def batches(start: int, stop: int) -> Iterator[Sequence[Batch]]:
            return islice(toy_batches(start), stop - start)

        given = {"dense": DENSE, "density": DENSITY, **settings}
        done = tune_sparsely(LabelLearning(model, TASKS["pos"]), batches, sparse=SPARSE, head=HEAD, **given)
        return done, weights(model)

    return run


def test_it_is_full_tuning_then_a_choice_then_tuning_of_what_was_chosen_from_the_start(
    tune: Tune, make_toy: Callable, toy_batches: Callable
) -> None:
    by_hand = make_toy()
    run_phase(LabelLearning(by_hand, TASKS["pos"]), DENSE, toy_batches)
    start = weights(make_toy())
    masks = select_changes(
        {"embedding.weight": start["embedding.weight"]}, {"embedding.weight": by_hand.embedding.weight}, DENSITY
    )
    by_hand = make_toy()
    run_phase(LabelLearning(by_hand, TASKS["pos"]), SPARSE, toy_batches, masks=masks)

    done, final = tune()
    assert same(final, weights(by_hand))
    assert same(done.before, start)
    changed = final["embedding.weight"] != start["embedding.weight"]
    assert torch.equal(changed, masks["embedding.weight"]) and int(changed.sum()) == int(DENSITY * 66)
    assert (final["head.weight"] != start["head.weight"]).all()
    assert (done.dense.step, done.sparse.step, done.tokens) == (7, 5, 12 * 15)


def test_where_all_may_change_it_is_full_tuning_in_one_piece(make_toy: Callable, toy_batches: Callable) -> None:
    by_hand, model = make_toy(), make_toy()
    run_phase(LabelLearning(by_hand, TASKS["pos"]), SPARSE, toy_batches)
    start = weights(model)
    done = tune_sparsely(
        LabelLearning(model, TASKS["pos"]), lambda start, stop: toy_batches(start), None, SPARSE, density=1, head=HEAD
    )
    assert same(weights(model), weights(by_hand)) and same(done.before, start)
    assert (done.dense.step, done.sparse.step, done.tokens) == (0, 5, 5 * 15)


def test_a_dense_phase_changes_nothing_where_all_may_change(tune: Tune, make_toy: Callable) -> None:
    with_choice = make_toy()
    tune(with_choice, density=1)
    without = make_toy()
    tune(without, density=1, dense=None)
    pairs = zip(weights(with_choice).values(), weights(without).values(), strict=True)
    assert all(torch.allclose(one, other, atol=1e-5) for one, other in pairs)


def test_no_share_is_chosen_without_a_phase_that_chooses(tune: Tune) -> None:
    with pytest.raises(ValueError, match="no phase chooses the 0.2"):
        tune(dense=None)


def test_frozen_parameters_stay_and_are_none_of_those_to_choose_from(tune: Tune, make_toy: Callable) -> None:
    model = make_toy()
    model.scale = nn.Parameter(torch.ones(1000))
    model.scale.requires_grad_(False)
    model.head.bias.requires_grad_(False)
    start = weights(model)
    done, final = tune(model)
    assert torch.equal(final["head.bias"], start["head.bias"])
    assert torch.equal(final["scale"], start["scale"])
    assert done.before.keys() == {"embedding.weight", "head.weight"}
    assert int((final["embedding.weight"] != start["embedding.weight"]).sum()) == int(DENSITY * 66)


def test_metrics_say_which_phase_they_are_of(tune: Tune) -> None:
    seen: list[dict[str, Any]] = []
    tune(around=Surroundings(report=seen.append), l1=0.1)
    assert [(line["phase"], line["step"]) for line in seen] == [
        *(("dense", step) for step in range(1, 8)),
        *(("sparse", step) for step in range(1, 6)),
    ]
    assert seen[0]["loss_l1"] == seen[7]["loss_l1"] == 0 < min(seen[6]["loss_l1"], seen[11]["loss_l1"])


def test_the_pull_holds_the_encoder_back_and_not_the_head(tune: Tune) -> None:
    def moved(l1: float) -> dict[str, float]:
        done, final = tune(l1=l1)
        return {name: float((final[name] - start).abs().mean()) for name, start in done.before.items()}

    free, held = moved(0.0), moved(50.0)
    assert held["embedding.weight"] < 0.5 * free["embedding.weight"]
    assert held["head.weight"] > 0.5 * free["head.weight"]


class Power(Exception):
    """The power went off."""


@pytest.mark.parametrize(("phase", "step"), [("dense", 1), ("dense", 4), ("dense", 7), ("sparse", 1), ("sparse", 5)])
def test_an_interruption_in_either_phase_changes_no_bit(phase: str, step: int, tune: Tune, tmp_path: Path) -> None:
    def fail(metrics: dict[str, Any]) -> None:
        if (metrics["phase"], metrics["step"]) == (phase, step):
            raise Power

    with pytest.raises(Power):
        tune(around=Surroundings(tmp_path, fail), l1=0.1)
    taken: list[tuple[str, int]] = []
    done, final = tune(
        around=Surroundings(tmp_path, lambda metrics: taken.append((metrics["phase"], metrics["step"]))), l1=0.1
    )
    assert taken[0] == (phase, step), "what was done before the interruption is not done again"
    expected, undisturbed = tune(l1=0.1)
    assert same(final, undisturbed)
    assert done.tokens == expected.tokens


def test_a_finished_tuning_is_read_back(tune: Tune, tmp_path: Path) -> None:
    _, final = tune(around=Surroundings(tmp_path))
    taken: list[dict[str, Any]] = []
    done, again = tune(around=Surroundings(tmp_path, taken.append))
    assert same(again, final) and taken == []
    assert (done.dense.step, done.sparse.step) == (7, 5)
