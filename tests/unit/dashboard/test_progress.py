"""Where a run stands is told from its files, and how long it takes from what has been done."""

from __future__ import annotations

import pytest

from bistil_ray.dashboard.progress import StepState, count_states, seconds_left, state_of

PLANNED = {"key": "distil-1", "kind": "distil", "tokens": 1000, "flops": 4.0}


def step(state: str, **more: object) -> StepState:
    return StepState(
        **{"key": "distil-1", "kind": "distil", "state": state, "planned_tokens": 1000, "flops": 4.0} | more
    )


@pytest.mark.parametrize(
    ("told", "result", "state", "reason"),
    [
        ({}, {}, "waiting", ""),
        ({"state": "running"}, {}, "running", ""),
        ({"state": "failed", "reason": "no memory"}, {}, "failed", "no memory"),
        ({"state": "failed", "reason": "no memory"}, {"tokens": 900}, "done", ""),
        ({"state": "done"}, {}, "waiting", ""),
        ({"state": "dancing"}, {}, "waiting", ""),
    ],
)
def test_a_finished_folder_is_believed_before_the_status_file(
    told: dict[str, str], result: dict[str, object], state: str, reason: str
) -> None:
    now = state_of(PLANNED, told, result, tokens=0)
    assert (now.state, now.reason) == (state, reason)


def test_tokens_are_the_steps_own_and_not_those_of_the_phases_before() -> None:
    assert state_of(PLANNED, {}, {"tokens": 900}, 0).tokens == 900
    assert state_of(PLANNED, {}, {"record": {"tokens": 5000}, "tokens": 5000}, 0).tokens == 1000
    assert state_of(PLANNED, {"state": "running"}, {}, 250).tokens == 250
    tuned = {**PLANNED, "kind": "task-teacher", "needs": {"student": "merge-1"}}
    assert state_of(tuned, {}, {"tokens": 5000}, 0).tokens == 1000


def test_the_time_left_follows_the_work_left_and_the_width_of_the_run() -> None:
    done = step("done", started=100.0, finished=140.0)
    assert seconds_left([step("waiting")]) is None
    assert seconds_left([done]) == 0
    assert seconds_left([done, step("waiting")]) == pytest.approx(40)
    assert seconds_left([done, step("waiting", flops=8.0)]) == pytest.approx(80)
    assert seconds_left([done, step("running", tokens=750), step("running", tokens=250)]) == pytest.approx(40 / 2)
    assert seconds_left([done, step("failed"), step("skipped"), step("pruned")]) == 0


def test_a_kind_that_has_not_been_timed_is_taken_for_a_usual_one() -> None:
    done = [step("done", started=0.0, finished=10.0), step("done", kind="pack", flops=0.0, started=0.0, finished=30.0)]
    assert seconds_left([*done, step("waiting", kind="finetune", flops=1e9)]) == pytest.approx(20)


def test_every_step_is_counted_once() -> None:
    counts = count_states([step("done"), step("done"), step("failed"), step("waiting")])
    assert counts == {"done": 2, "failed": 1, "waiting": 1, "running": 0, "skipped": 0, "pruned": 0}
