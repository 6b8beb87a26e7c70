"""Ray Tune starts trials in their order, and looks for them among those that live."""

from __future__ import annotations

from types import SimpleNamespace

from ray.tune.experiment import Trial

from bistil_ray.distributed.scheduler import InOrderScheduler


def test_a_trial_is_chosen_among_those_that_live() -> None:
    waiting, running = SimpleNamespace(status=Trial.PENDING), SimpleNamespace(status=Trial.RUNNING)
    choose = InOrderScheduler().choose_trial_to_run
    assert choose(SimpleNamespace(get_live_trials=lambda: [running, waiting])) is waiting
    assert choose(SimpleNamespace(get_live_trials=lambda: [running])) is None
