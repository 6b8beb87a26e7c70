"""Early stopping among comparable steps only: one ASHA per group, so that languages never compete with each other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ray.tune.experiment import Trial
from ray.tune.schedulers import AsyncHyperBandScheduler, FIFOScheduler

from ..planning.plan import Plan
from ..recipes import MERGEDISTILL
from ..settings import Pruning

MEASURE = "bits_per_character"
Make = Callable[[str], AsyncHyperBandScheduler]


class InOrderScheduler(FIFOScheduler):
    """First in, first out. Only trials that live are looked at: their number does not grow with that of the steps."""

    def choose_trial_to_run(self, tune_controller: Any) -> Trial | None:  # noqa: ANN401
        """Give a trial that waits for its process, if there is one; no trial of a sweep ever pauses."""
        return next((trial for trial in tune_controller.get_live_trials() if trial.status == Trial.PENDING), None)


class PerGroupScheduler(InOrderScheduler):
    """Passes each trial to the scheduler of its group; trials without a group run to their end.

    Only results that carry ``measure`` are passed on, so that other reports of a step do not count as rungs.
    """

    def __init__(self, group_of: dict[str, str], make: Make, measure: str = MEASURE) -> None:
        """``group_of`` maps a step's key to its group; ``make`` makes the scheduler of a group."""
        super().__init__()
        self._group_of, self._make, self._measure = group_of, make, measure
        self._groups: dict[str, AsyncHyperBandScheduler] = {}

    def _scheduler(self, trial: Trial) -> AsyncHyperBandScheduler | None:
        group = self._group_of.get(trial.config.get("step", ""))
        if group is None:
            return None
        if group not in self._groups:
            self._groups[group] = self._make(group)
        return self._groups[group]

    def on_trial_add(self, tune_controller: Any, trial: Trial) -> None:  # noqa: ANN401
        """Tell the group's scheduler of a new trial."""
        if scheduler := self._scheduler(trial):
            scheduler.on_trial_add(tune_controller, trial)

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:  # noqa: ANN401
        """Let the group's scheduler decide on a measured result."""
        scheduler = self._scheduler(trial)
        if scheduler is None or self._measure not in result or result.get("state") != "running":
            return FIFOScheduler.CONTINUE
        return str(scheduler.on_trial_result(tune_controller, trial, result))

    def on_trial_remove(self, tune_controller: Any, trial: Trial) -> None:  # noqa: ANN401
        """Tell the group's scheduler that a trial is gone."""
        if scheduler := self._scheduler(trial):
            scheduler.on_trial_remove(tune_controller, trial)

    def debug_string(self) -> str:
        """Describe every group."""
        return "\n".join(f"{group}: {scheduler.debug_string()}" for group, scheduler in self._groups.items())


def make_scheduler(plan: Plan, pruning: Pruning) -> InOrderScheduler:
    """Give the scheduler of a sweep: first in, first out, or an ASHA for each group of comparable students.

    Those are the students of a language and recipe, and all that merge several teachers.
    """
    if not pruning.enabled:
        return InOrderScheduler()
    group_of = {step.key: "{lang} {recipe}".format(**step.about) for step in plan if step.kind == "distil"}
    group_of |= {step.key: MERGEDISTILL for step in plan if step.kind == "merge"}
    most: dict[str, int] = {}
    for step in plan:
        if group := group_of.get(step.key):
            most[group] = max(most.get(group, 1), step.tokens)

    def make(group: str) -> AsyncHyperBandScheduler:
        return AsyncHyperBandScheduler(
            time_attr="tokens",
            metric=MEASURE,
            mode="min",
            max_t=most[group] + 1,  # a student at its last token must not be stopped before it is saved
            grace_period=max(1, int(pruning.grace * most[group])),
            reduction_factor=pruning.reduction,
        )

    return PerGroupScheduler(group_of, make)
