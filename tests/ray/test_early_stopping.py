"""A sweep with early stopping: weak students pause, are compared and given up, and the best one loses nothing by it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from bistil_ray.config import RunConfig
from bistil_ray.distributed.sweep import Outcome
from bistil_ray.planning.plan import Plan
from bistil_ray.steps.examination import earlier_measures
from bistil_ray.steps.local import run_here


def test_the_best_of_two_teachers_students_comes_out_as_it_would_alone(
    cluster: None,
    bert_folder: Path,
    xlmr_folder: Path,
    plan_of: Callable[..., tuple[RunConfig, Plan]],
    carry_out: Callable[..., Outcome],
    tmp_path: Path,
) -> None:
    teachers = [str(bert_folder), str(xlmr_folder)]
    distil = {"steps": 8, "evaluations": 4, "batch_size": 8, "precision": "fp32", "lr": 1e-3, "checkpoint_minutes": 60}
    changed: dict[str, Any] = {"langs": ["sw"], "teachers": teachers, "distil": distil, "pruning": {"enabled": True}}
    config, plan = plan_of(storage=str(tmp_path / "runs"), **changed)
    plan = Plan(tuple(step for step in plan if step.kind in ("pack", "distil")), plan.largest_model)
    outcome = carry_out(config, plan, "pruned")
    assert outcome.failed == {} and not outcome.interrupted

    steps = tmp_path / "runs/steps"
    students = [step.key for step in plan if step.kind == "distil"]
    ends = {key: outcome.states[key] for key in students}
    (stopped,) = (key for key, (state, _) in ends.items() if state == "pruned")
    (winner,) = (key for key, (state, _) in ends.items() if state == "done")
    early, late = earlier_measures(steps / stopped), earlier_measures(steps / winner)
    assert list(early) == [2] and list(late) == [2, 4, 6, 8]
    assert late[2] < early[2]
    assert ends[stopped][1] == f"{early[2]:.2f} bits per character after 2 steps, the best {late[2]:.2f}"
    before = (steps / stopped / "metrics.jsonl").read_bytes()
    again = carry_out(config, plan, "pruned")
    assert again.states == outcome.states
    assert (steps / stopped / "metrics.jsonl").read_bytes() == before, "what is known is not measured again"

    alone = Plan(tuple(step for step in plan if step.kind == "pack" or step.key == winner), plan.largest_model)
    run_here(alone, tmp_path / "alone")
    one, other = (load_file(folder / winner / "student/model.safetensors") for folder in (steps, tmp_path / "alone"))
    assert all(torch.equal(values, other[name]) for name, values in one.items())
