"""A process that dies while it waits for work costs a sweep no step."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from bistil_ray.config import RunConfig
from bistil_ray.distributed.sweep import Outcome
from bistil_ray.planning.plan import Plan
from bistil_ray.steps.context import Context, Job
from tests.ray.told_steps import end_at_once, step


def test_steps_given_to_a_process_that_died_idle_are_carried_out(
    cluster: None,
    plan_of: Callable[..., tuple[RunConfig, Plan]],
    carry_out: Callable[..., Outcome],
    tmp_path: Path,
) -> None:
    config, _ = plan_of(storage=str(tmp_path))
    first, second = step("pack", "first"), step("pack", "second")
    rest = [step("distil", name, pack=first, other=second) for name in ("third", "fourth")]
    mortal = tmp_path / "process"

    def body(job: Job, context: Context) -> dict[str, Any]:
        if job.folder.name == first.key:
            mortal.write_text(str(os.getpid()))
            threading.Timer(1.0, os._exit, (1,)).start()  # when it has told of its end
        if job.folder.name == second.key:
            while not (mortal.exists() and mortal.read_text() and not psutil.pid_exists(int(mortal.read_text()))):
                time.sleep(0.02)
        return end_at_once(job, context)

    outcome = carry_out(config, Plan((first, second, *rest)), "mortal", body=body)
    assert {state for state, _ in outcome.states.values()} == {"done"}, outcome.failed
