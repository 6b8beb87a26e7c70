"""What a plan expects its steps to cost: tokens, FLOPs, the largest batch."""

from __future__ import annotations

from dataclasses import replace

from bistil_ray.planning.plan import make_plan
from tests.made_up_plan import config, facts, keys, teacher


def test_the_largest_batch_is_known_and_that_it_may_come_in_parts() -> None:
    big = teacher("big")
    assert make_plan(config(), facts()).most_states == 8 * 256 * big.layers * big.hidden
    shapes = {"packing": {"length": 64}, "teach": {"batch_size": 32, "accumulation": 3}}
    assert make_plan(config(**shapes), facts()).most_states == 11 * 256 * big.layers * big.hidden
    adapted = {**shapes, "adapt": {"enabled": True, "batch_size": 50}}
    assert make_plan(config(**adapted), facts()).most_states == 50 * 64 * big.layers * big.hidden


def test_tokens_and_flops_are_estimated_where_something_is_trained() -> None:
    plan = make_plan(config(distil={"steps": 10, "batch_size": 4}, packing={"length": 64}), facts())
    for step in plan:
        assert (step.tokens > 0) == (step.flops > 0) == (step.kind in {"task-teacher", "distil", "finetune"})
    assert {step.tokens for step in plan if step.kind == "distil"} == {10 * 4 * 64}


def test_a_labelled_phase_has_the_tokens_that_its_own_length_leaves() -> None:
    task = replace(facts().task, train_tokens={64: {"en": 1000}, 32: {"en": 600}})
    phases = {
        "teach": {"epochs": 3, "max_length": 64},
        "finetune": {"dense_epochs": 1, "sparse_epochs": 4, "max_length": 32},
    }
    plan = make_plan(config(**phases), replace(facts(), task=task))
    assert {step.tokens for step in plan if step.kind == "task-teacher"} == {3 * 1000}
    assert {step.tokens for step in plan if step.kind == "finetune"} == {5 * 600}


def test_where_all_parameters_may_change_no_epochs_choose_them() -> None:
    plan = make_plan(config(densities=[0.5, 1], finetune={"dense_epochs": 1, "sparse_epochs": 4}), facts())
    tokens = {step.about["density"]: step.tokens for step in plan if step.kind == "finetune"}
    assert tokens[1] == tokens[0.5] * 4 / 5
    same = make_plan(config(densities=[1], finetune={"dense_epochs": 2, "sparse_epochs": 4}), facts())
    assert keys(same) < keys(plan), "a length that plays no part is no part of a step"


def test_learning_without_a_teacher_costs_less() -> None:
    def flops(recipe: str) -> float:
        return next(step.flops for step in make_plan(config(recipes=[recipe]), facts()) if step.kind == "distil")

    assert flops("scratch") < flops("bistil")
