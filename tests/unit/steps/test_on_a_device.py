"""Steps on a device that is not the CPU: every tensor is where it must be, and results are those of the CPU."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from bistil_ray.config_sources import load_config
from bistil_ray.inputs import gather_facts
from bistil_ray.planning.plan import Plan, make_plan
from bistil_ray.planning.step import Step
from bistil_ray.steps import local
from bistil_ray.steps.context import LocalContext
from bistil_ray.steps.local import run_here
from tests.pretended_device import pretended_device

FEW = "{enabled: true, dense_steps: 2, sparse_steps: 2, batch_size: 8, lr: 0.01, precision: fp32, density: 0.1}"


@pytest.fixture
def plan_for(tiny_settings: dict[str, Any], tmp_path: Path) -> Callable[..., Plan]:
    """A function planning a run of a teacher with some settings changed."""

    def plan(teacher: Path, *overrides: str) -> Plan:
        settings = ("distil.steps=4", "finetune.sparse_epochs=4", *overrides)
        config = load_config(None, settings, {"teachers": [str(teacher)]}, tiny_settings)
        return make_plan(config, gather_facts(config))

    return plan


@pytest.fixture
def on_device(monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, dict[str, Any]]]:
    """``run_here`` on the device."""

    class Context(LocalContext):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            self.device = device

    def run(*given: Any) -> dict[str, dict[str, Any]]:
        with monkeypatch.context() as patch, pretended_device(patch) as place:
            nonlocal device
            device = place
            patch.setattr(local, "LocalContext", Context)
            return run_here(*given)

    device = torch.device("cpu")
    return run


def losses(results: dict[str, dict[str, Any]]) -> dict[str, float]:
    return {
        f"{key} {term}": value
        for key, result in results.items()
        for term, value in [*result.get("loss", {}).items(), ("score", result.get("record", {}).get("score"))]
        if value is not None
    }


def test_students_of_every_recipe_come_out_as_on_the_cpu(
    plan_for: Callable[..., Plan], on_device: Callable[..., Any], bert_folder: Path, tmp_path: Path
) -> None:
    plan = plan_for(bert_folder, "recipes=[bistil+,minilmv2,distilmbert]")
    there, here = on_device(plan, tmp_path / "there"), run_here(plan, tmp_path / "here")
    assert len(losses(here)) > 8
    assert losses(there) == pytest.approx(losses(here), rel=1e-3)


def test_narrow_factorised_students_of_adapted_teachers(
    plan_for: Callable[..., Plan], on_device: Callable[..., Any], xlmr_folder: Path, tmp_path: Path
) -> None:
    plan = plan_for(xlmr_folder, "hidden=16", "distil.embedding_rank=8", f"adapt={FEW}", "densities=[1]")
    assert all("finished" in result for result in on_device(plan, tmp_path).values())


def test_interrupted_steps_go_on(
    plan_for: Callable[..., Plan], on_device: Callable[..., Any], bert_folder: Path, tmp_path: Path
) -> None:
    class Power(Exception):
        """The power went off."""

    cut = []

    def cut_once(step: Step, metrics: dict[str, Any]) -> None:
        if step.kind in ("distil", "finetune") and step.kind not in cut and metrics["step"] == 2:
            cut.append(step.kind)
            raise Power

    plan = [replace(step, runtime={**step.runtime, "checkpoint_minutes": 0}) for step in plan_for(bert_folder)]
    for _ in range(2):
        with pytest.raises(Power):
            on_device(plan, tmp_path, cut_once)
    assert all("finished" in result for result in on_device(plan, tmp_path, cut_once).values())
    assert cut == ["distil", "finetune"]
