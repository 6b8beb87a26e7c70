"""The order in which Ray Tune starts trials: as they come, since the searcher has chosen already."""

from __future__ import annotations

from typing import Any

from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler


class InOrderScheduler(FIFOScheduler):
    """First in, first out. Only trials that live are looked at: their number does not grow with that of the steps."""

    def choose_trial_to_run(self, tune_controller: Any) -> Trial | None:  # noqa: ANN401
        """Give a trial that waits for its process, if there is one; no trial of a sweep ever pauses."""
        return next((trial for trial in tune_controller.get_live_trials() if trial.status == Trial.PENDING), None)
