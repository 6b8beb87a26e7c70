"""A sweep whose students share their teacher: one trial for all of them, and the students of single steps."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from bistil_ray.config import RunConfig
from bistil_ray.distributed.sweep import Outcome
from bistil_ray.planning.plan import Plan
from bistil_ray.steps.local import run_here

MODELS = {"distil": "student", "finetune": "model"}


@pytest.mark.parametrize(
    ("launcher", "phases"),
    [("process", ("distil", "finetune")), pytest.param("train", ("distil",), marks=pytest.mark.slow)],
)
def test_students_of_one_trial_are_those_of_single_steps(
    launcher: str,
    phases: tuple[str, ...],
    cluster: None,
    plan_of: Callable[..., tuple[RunConfig, Plan]],
    carry_out: Callable[..., Outcome],
    tmp_path: Path,
) -> None:
    students = {"langs": ["sw"], "layers": [2, 1], "densities": [0.1, 0.3]}
    execution = {"launcher": launcher, "share_teacher": True}
    config, plan = plan_of(storage=str(tmp_path / "runs"), execution=execution, **students)
    if "finetune" not in phases:
        plan = Plan(tuple(step for step in plan if step.kind in ("pack", "distil")), plan.largest_model)
    keys = {kind: [step.key for step in plan if step.kind == kind] for kind in phases}
    assert [len(steps) for steps in keys.values()] == [2, 4][: len(phases)]
    shown = io.StringIO()
    outcome = carry_out(config, plan, "shared", shown)
    assert outcome.failed == {} and not outcome.interrupted
    trials = {kind: {path.name for path in (outcome.run / "tune").glob(f"{kind}-*")} for kind in phases}
    # Two depths of one teacher, then two densities of each: the plan has the first density of both before the second.
    expected = {"distil": set(keys["distil"][:1]), "finetune": set(keys.get("finetune", ())[:2])}
    assert trials == {kind: expected[kind] for kind in phases}
    for kind, steps in keys.items():
        told = [line for line in shown.getvalue().splitlines() if f"{kind} sw" in line and ": done" in line]
        assert len(told) == len(steps)

    run_here(plan, tmp_path / "apart")
    for kind, steps in keys.items():
        for key in steps:
            one, other = (
                load_file(folder / key / MODELS[kind] / "model.safetensors")
                for folder in (tmp_path / "runs/steps", tmp_path / "apart")
            )
            assert all(torch.equal(values, other[name]) for name, values in one.items()), key
