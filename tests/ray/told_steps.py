"""Steps without work behind them: plans of them, the body of one, and what searchers tell of them."""

from __future__ import annotations

from typing import Any

from bistil_ray.distributed.searcher import StepSearcher
from bistil_ray.planning.plan import Plan
from bistil_ray.planning.step import Step
from bistil_ray.steps.context import Context, Job
from bistil_ray.storage import mark_done


def step(kind: str, name: str, **needs: Step) -> Step:
    return Step(kind, {}, {}, {role: need.key for role, need in needs.items()}, name, {"lang": name})


SW_PACK, HA_PACK = step("pack", "sw"), step("pack", "ha")
SW, HA = step("distil", "sw", pack=SW_PACK), step("distil", "ha", pack=HA_PACK)
SW_TUNED, HA_TUNED = step("finetune", "sw", student=SW), step("finetune", "ha", student=HA)
PLAN = Plan((SW_PACK, HA_PACK, SW, HA, SW_TUNED, HA_TUNED))


def end_at_once(job: Job, context: Context, **found: Any) -> dict[str, Any]:
    """The body of a step that has nothing to do, for sweeps whose tests are about what goes on around it."""
    mark_done(job.folder, result := {"kind": job.kind, **found})
    return result


class Told(list[tuple[str, str, str]]):
    """What a searcher told about steps: key, state, reason."""

    def __call__(self, step: Step, state: str, reason: str) -> None:
        self.append((step.key, state, reason))


def finish(searcher: StepSearcher, trial: str, **result: Any) -> None:
    searcher.on_trial_complete(trial, {"state": "done", **result})
