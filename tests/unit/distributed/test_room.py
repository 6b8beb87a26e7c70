"""A sweep that finds no room for its steps gives up after a while, and never while one of them runs."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from bistil_ray.distributed.room import Room

SECONDS = 900.0


class Sweep:
    """A sweep that listens to what it is told, and whose clock is set by hand."""

    def __init__(self) -> None:
        self.now, self.reasons = 100.0, list[str]()
        self.room = Room(self.reasons.append, SECONDS, clock=lambda: self.now)

    def turn(self, later: float = 0.0) -> None:
        self.now += later
        self.room.on_step_begin(0, [])


@pytest.fixture
def sweep() -> Sweep:
    return Sweep()


def test_a_sweep_without_room_is_given_up_once_and_ended(sweep: Sweep) -> None:
    sweep.turn()
    sweep.turn(later=SECONDS)
    assert not sweep.reasons and not sweep.room.stop_all()
    sweep.turn(later=1)
    sweep.turn(later=10 * SECONDS)
    assert len(sweep.reasons) == 1 and "900 seconds" in sweep.reasons[0]
    assert sweep.room.stop_all()


@pytest.mark.parametrize("end", ["on_trial_complete", "on_trial_error"])
def test_the_wait_begins_when_the_last_step_has_lost_its_process(sweep: Sweep, end: str) -> None:
    first, second = (SimpleNamespace(trial_id=name) for name in ("first", "second"))
    sweep.turn()
    for trial in (first, second):
        sweep.room.on_trial_start(0, [], trial)
    sweep.turn(later=10 * SECONDS)
    getattr(sweep.room, end)(0, [], first)
    sweep.turn(later=10 * SECONDS)
    getattr(sweep.room, end)(0, [], second)
    sweep.turn()
    sweep.turn(later=SECONDS)
    assert not sweep.reasons
    sweep.turn(later=1)
    assert len(sweep.reasons) == 1
