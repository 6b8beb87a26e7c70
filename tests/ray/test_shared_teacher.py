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


@pytest.mark.parametrize("launcher", ["process", pytest.param("train", marks=pytest.mark.slow)])
def test_students_of_one_trial_are_those_of_single_steps(
    launcher: str,
    cluster: None,
    plan_of: Callable[..., tuple[RunConfig, Plan]],
    carry_out: Callable[..., Outcome],
    tmp_path: Path,
) -> None:
    students = {"langs": ["sw"], "layers": [2, 1], "recipes": ["bistil", "minilmv2"]}
    execution = {"launcher": launcher, "share_teacher": True}
    config, plan = plan_of(storage=str(tmp_path / "runs"), execution=execution, **students)
    plan = Plan(tuple(step for step in plan if step.kind in ("pack", "distil")), plan.largest_model)
    keys = [step.key for step in plan if step.kind == "distil"]
    shown = io.StringIO()
    outcome = carry_out(config, plan, "shared", shown)
    assert outcome.failed == {} and not outcome.interrupted
    assert [path.name for path in (outcome.run / "tune").glob("distil-*")] == keys[:1]
    told = [line for line in shown.getvalue().splitlines() if "distil sw" in line and ": done" in line]
    assert len(told) == len(keys)

    run_here(plan, tmp_path / "apart")
    for key in keys:
        one, other = (
            load_file(folder / key / "student/model.safetensors")
            for folder in (tmp_path / "runs/steps", tmp_path / "apart")
        )
        assert all(torch.equal(values, other[name]) for name, values in one.items()), key
