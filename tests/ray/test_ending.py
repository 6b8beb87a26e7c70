"""Steps that are told to end save: with their sweep, which begins no other, or because their node is taken back."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import ray
import torch

from bistil_ray.config import RunConfig
from bistil_ray.distributed.stream import RayContext
from bistil_ray.distributed.sweep import Outcome
from bistil_ray.planning.plan import Plan
from bistil_ray.steps.context import Context, Job
from bistil_ray.train.notice import TERMINATED
from tests.ray.told_steps import end_at_once, step


def test_sigterm_reaches_the_step_that_runs_and_the_run_can_be_continued(
    cluster: None,
    plan_of: Callable[..., tuple[RunConfig, Plan]],
    carry_out: Callable[..., Outcome],
    tmp_path: Path,
) -> None:
    config, _ = plan_of(storage=str(tmp_path))
    first = step("pack", "first")
    second = step("distil", "second", pack=first)
    driver, begun = os.getpid(), tmp_path / "begun"

    def body(job: Job, context: Context) -> dict[str, Any]:
        if not begun.exists():
            begun.touch()
            os.kill(driver, signal.SIGTERM)
            while not context.is_to_end():
                time.sleep(0.02)
            raise SystemExit(TERMINATED)
        assert not context.is_to_end()
        return end_at_once(job, context)

    plan = Plan((first, second))
    told = carry_out(config, plan, "told", body=body)
    assert told.interrupted
    assert told.states == {first.key: ("waiting", "saved when told to end"), second.key: ("waiting", "")}
    again = carry_out(config, plan, "told", body=body)
    assert {state for state, _ in again.states.values()} == {"done"}


def test_a_step_is_told_to_end_when_ray_drains_its_node(cluster: None, monkeypatch: pytest.MonkeyPatch) -> None:
    here, drained = ray.get_runtime_context().get_node_id(), dict[str, int]()
    monkeypatch.setattr("ray._private.state.state.get_draining_nodes", lambda: drained)
    drained["ff" * 28] = 0
    assert not RayContext(lambda metrics: None, torch.device("cpu")).is_to_end()
    drained[here] = 0
    assert RayContext(lambda metrics: None, torch.device("cpu")).is_to_end()


def test_a_step_that_was_told_to_end_goes_on_in_another_process(
    cluster: None,
    plan_of: Callable[..., tuple[RunConfig, Plan]],
    carry_out: Callable[..., Outcome],
    tmp_path: Path,
) -> None:
    config, _ = plan_of(storage=str(tmp_path))
    only = step("distil", "sw")
    processes = tmp_path / "processes"

    def body(job: Job, context: Context) -> dict[str, Any]:
        with processes.open("a") as file:
            print(os.getpid(), file=file)
        if len(processes.read_text().split()) == 1:
            raise SystemExit(TERMINATED)
        return end_at_once(job, context)

    outcome = carry_out(config, Plan((only,)), "drained", body=body)
    assert outcome.states == {only.key: ("done", "")}
    assert len(set(processes.read_text().split())) == 2
