"""Plans for searchers without work behind them, and what searchers tell of their steps."""

from __future__ import annotations

from typing import Any

from bistil_ray.distributed.searcher import StepSearcher
from bistil_ray.planning.plan import Plan
from bistil_ray.planning.step import Step


def step(kind: str, name: str, **needs: Step) -> Step:
    return Step(kind, {}, {}, {role: need.key for role, need in needs.items()}, name, {"lang": name})


SW_PACK, HA_PACK = step("pack", "sw"), step("pack", "ha")
SW, HA = step("distil", "sw", pack=SW_PACK), step("distil", "ha", pack=HA_PACK)
SW_TUNED, HA_TUNED = step("finetune", "sw", student=SW), step("finetune", "ha", student=HA)
PLAN = Plan((SW_PACK, HA_PACK, SW, HA, SW_TUNED, HA_TUNED))


class Told(list[tuple[str, str, str]]):
    """What a searcher told about steps: key, state, reason."""

    def __call__(self, step: Step, state: str, reason: str) -> None:
        self.append((step.key, state, reason))


def finish(searcher: StepSearcher, trial: str, **result: Any) -> None:
    searcher.on_trial_complete(trial, {"state": "done", **result})
