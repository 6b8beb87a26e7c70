"""Where a run stands: the state of each step, what it has cost so far, how long it still takes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

ENDED = ("done", "failed", "skipped", "pruned")
STATES = (*ENDED, "running", "waiting")


@dataclass(frozen=True)
class StepState:
    """One step as it is now. Times are seconds since 1970, None where unknown; ``tokens`` are those trained on."""

    key: str
    kind: str
    state: str
    reason: str = ""
    planned_tokens: int = 0
    tokens: int = 0
    flops: float = 0.0
    started: float | None = None
    finished: float | None = None

    @property
    def seconds(self) -> float | None:
        """How long the step took from its start to its end; None for one that has not finished."""
        return None if self.started is None or self.finished is None else max(0.0, self.finished - self.started)

    @property
    def left(self) -> float:
        """Share of the step that is still to do."""
        if self.state in ENDED:
            return 0.0
        return max(0.0, 1 - self.tokens / self.planned_tokens) if self.planned_tokens else 1.0


def state_of(planned: Mapping[str, Any], told: Mapping[str, Any], result: Mapping[str, Any], tokens: int) -> StepState:
    """Put a step's state together.

    ``planned`` is its entry in ``plan.json``, ``told`` the one in ``status.json``. ``result`` is its ``result.json``,
    empty unless it is done, and ``tokens`` what its ``metrics.jsonl`` got to.
    """
    # A finished folder is the truth; the run's status file may lag behind it or be missing.
    state = "done" if result else str(told.get("state", "waiting"))
    return StepState(
        key=planned["key"],
        kind=planned["kind"],
        state=state if state in STATES and (result or state != "done") else "waiting",
        reason="" if result else str(told.get("reason", "")),
        planned_tokens=int(planned.get("tokens") or 0),
        tokens=tokens if not result else int(_own_tokens(planned, result) or planned.get("tokens") or 0),
        flops=float(planned.get("flops") or 0),
        started=result.get("started"),
        finished=result.get("finished"),
    )


def _own_tokens(planned: Mapping[str, Any], result: Mapping[str, Any]) -> int:
    """Tokens that a step itself trained on, 0 where it is not told.

    A record, and a step that goes on with a student, count those of the phases before it as well.
    """
    goes_on = "student" in (planned.get("needs") or {})
    return 0 if goes_on or result.get("record") else int(result.get("tokens") or 0)


def count_states(steps: Iterable[StepState]) -> dict[str, int]:
    """Count the steps in each state."""
    counts = dict.fromkeys(STATES, 0)
    for step in steps:
        counts[step.state] += 1
    return counts


def seconds_left(steps: Sequence[StepState]) -> float | None:
    """Estimate how long the run still takes, as wide as it runs now; None before a step has finished.

    A step is taken to last as long as finished ones of its kind, in proportion to its FLOPs where it has any.
    """
    timed = [step for step in steps if step.seconds is not None]
    if not timed:
        return None
    speed: dict[str, float] = {}
    for kind in {step.kind for step in timed}:
        alike = [step for step in timed if step.kind == kind]
        speed[kind] = sum(step.seconds or 0.0 for step in alike) / sum(_work(step) for step in alike)
    usual = sum(step.seconds or 0.0 for step in timed) / len(timed)
    work = sum(
        step.left * (speed[step.kind] * _work(step) if step.kind in speed else usual) for step in steps if step.left
    )
    return work / max(1, sum(step.state == "running" for step in steps))


def _work(step: StepState) -> float:
    return step.flops or 1.0
