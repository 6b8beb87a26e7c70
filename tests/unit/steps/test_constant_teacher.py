"""A teacher that teaches nothing ends the step before its training starts, with the teacher's name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoModelForMaskedLM, AutoTokenizer

from bistil_ray.config_sources import load_config
from bistil_ray.errors import ModelError
from bistil_ray.inputs import gather_facts
from bistil_ray.models.heads import load_model
from bistil_ray.planning.plan import Plan, make_plan
from bistil_ray.planning.step import Step
from bistil_ray.steps.local import run_here


@pytest.fixture
def plan_for(tiny_settings: dict[str, Any]) -> Callable[[Path], Plan]:
    """A function planning a run of a few steps with a teacher."""

    def plan(teacher: Path) -> Plan:
        config = load_config(None, ("distil.steps=2", "teach.epochs=0.1"), {"teachers": [str(teacher)]}, tiny_settings)
        return make_plan(config, gather_facts(config))

    return plan


def of_kinds(plan: Plan, *kinds: str) -> list[Step]:
    return [step for step in plan if step.kind in kinds]


def test_a_teacher_whose_states_never_change_is_refused_in_phase_1(
    bert_folder: Path, plan_for: Callable[[Path], Plan], tmp_path: Path
) -> None:
    broken = tmp_path / "broken"
    teacher = AutoModelForMaskedLM.from_pretrained(bert_folder)
    teacher.get_input_embeddings().weight.data.zero_()
    teacher.save_pretrained(broken)
    AutoTokenizer.from_pretrained(bert_folder).save_pretrained(broken)
    with pytest.raises(ModelError, match=f"teacher {broken} gives the same hidden states whatever it reads"):
        run_here(of_kinds(plan_for(broken), "pack", "distil"), tmp_path / "steps")
    (folder,) = (tmp_path / "steps").glob("distil-*")
    assert not (folder / "DONE").exists()
    assert not (folder / "metrics.jsonl").exists(), "it was trained on"


def test_a_task_teacher_whose_scores_never_change_is_refused_in_phase_2(
    bert_folder: Path, plan_for: Callable[[Path], Plan], tmp_path: Path
) -> None:
    plan = plan_for(bert_folder)
    run_here(of_kinds(plan, "pack", "distil", "task-teacher"), tmp_path)
    (task_teacher,) = tmp_path.glob("task-teacher-*")
    model = load_model("token-classification", task_teacher / "model")
    model.classifier.weight.data.zero_()
    model.save_pretrained(task_teacher / "model")
    with pytest.raises(ModelError, match=f"teacher {task_teacher} gives the same tags scores whatever it reads"):
        run_here(of_kinds(plan, "finetune"), tmp_path)
