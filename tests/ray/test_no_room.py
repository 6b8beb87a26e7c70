"""A sweep whose cluster has no room for a step ends, says why, and is finished by the same command later."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bistil_ray.config import RunConfig
from bistil_ray.distributed.launch import START_TIMEOUT
from bistil_ray.distributed.slot import Slot
from bistil_ray.distributed.sweep import Outcome
from bistil_ray.planning.plan import Plan
from tests.ray.told_steps import end_at_once, step


def test_a_sweep_without_room_ends_and_is_finished_by_the_same_command(
    cluster: None,
    plan_of: Callable[..., tuple[RunConfig, Plan]],
    carry_out: Callable[..., Outcome],
    tmp_path: Path,
) -> None:
    config, _ = plan_of(storage=str(tmp_path))
    first, other = step("pack", "first"), step("pack", "other")
    second = step("distil", "second", pack=first)
    plan = Plan((first, second, other))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(START_TIMEOUT, "0.3")
        patch.setattr("bistil_ray.distributed.tuning.find_slot", lambda *given: (Slot("process", 1, 99.0, 0.0), 1))
        without = carry_out(config, plan, "run", body=end_at_once)
    assert not without.interrupted
    state, reason = without.states[first.key]
    assert state == "failed" and "no node had room for it in 0.9 seconds" in reason and "the same command" in reason
    assert [without.states[left.key][0] for left in (second, other)] == ["skipped", "skipped"]
    assert {state for state, _ in carry_out(config, plan, "run", body=end_at_once).states.values()} == {"done"}
