"""A sweep whose cluster has no room for a step ends, says why, and is finished by the same command later."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bistil_ray.config import RunConfig
from bistil_ray.distributed.launch import START_TIMEOUT
from bistil_ray.distributed.slot import Slot
from bistil_ray.distributed.sweep import Outcome
from bistil_ray.planning.plan import Plan
from bistil_ray.planning.step import Step
from bistil_ray.steps.context import Context, Job
from bistil_ray.storage import mark_done


def finish(job: Job, context: Context) -> dict[str, Any]:
    """The body of a step that has nothing to do."""
    result = {"kind": job.kind}
    mark_done(job.folder, result)
    return result


def test_a_sweep_without_room_ends_and_is_finished_by_the_same_command(
    cluster: None,
    plan_of: Callable[..., tuple[RunConfig, Plan]],
    carry_out: Callable[..., Outcome],
    tmp_path: Path,
) -> None:
    config, _ = plan_of(storage=str(tmp_path))
    first, other = (Step("pack", {}, {}, {}, name, {"lang": name}) for name in ("first", "other"))
    second = Step("distil", {}, {}, {"pack": first.key}, "second", {"lang": "second"})
    plan = Plan((first, second, other))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(START_TIMEOUT, "0.3")
        patch.setattr("bistil_ray.distributed.cluster.find_slot", lambda *given: (Slot("process", 1, 99.0, 0.0), 1))
        without = carry_out(config, plan, "run", body=finish)
    assert not without.interrupted
    state, reason = without.states[first.key]
    assert state == "failed" and "no node had room for it in 0.9 seconds" in reason and "the same command" in reason
    assert [without.states[step.key][0] for step in (second, other)] == ["skipped", "skipped"]
    assert {state for state, _ in carry_out(config, plan, "run", body=finish).states.values()} == {"done"}
