"""A Ray Tune searcher that walks a plan: it hands out steps whose needs are done, and nothing when none is ready."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from heapq import heappop, heappush
from typing import Any

from ray.tune.search import Searcher

from ..planning.halving import Halving, Verdict
from ..planning.plan import Plan
from ..planning.step import Step
from ..settings import Pruning
from .gpu_share import GpuRoom, Share, sort_of
from .slot import MODELS, place_for

Outcome = Callable[[Step, str, str], None]
METRIC = "progress"
LOSSES = 2
"""How often in a row a step may lose its process (killed, out of memory, its node gone) without coming further."""


class StepSearcher(Searcher):
    """Hands out the steps of ``plan`` that are not in ``done``, each after the steps it needs.

    ``outcome(step, state, reason)`` is told when a step is running, done, failed, pruned or skipped, and that it waits
    again when it paused or its process was lost or told to end. A step that needs a failed one is skipped, one that
    needs a pruned one is pruned; the rest goes on. A step that is ready takes its ``companions`` along, by key, that
    are ready too, as one trial; what failed there, or lost its process, is handed out again by itself. No more trials
    run at a time than ``places`` has of each kind and ``gpus`` have room for. Steps that wait for the first of their
    sort to tell its memory let others go ahead; what failed while it shared a GPU is handed out again with all of it.
    Students that compete in ``halving`` pause to be compared: the better ones are handed out again, the others pruned.
    """

    def __init__(
        self,
        plan: Plan,
        done: Sequence[str],
        outcome: Outcome,
        companions: Mapping[str, Sequence[Step]] | None = None,
        places: Mapping[str, int] | None = None,
        halving: Halving | None = None,
        gpus: GpuRoom | None = None,
    ) -> None:
        """Start with the steps of earlier runs in ``done``: they never become trials."""
        super().__init__(metric=METRIC, mode="max")
        finished = set(done)
        self._waiting: dict[str, Step] = {step.key: step for step in plan if step.key not in finished}
        self._open_needs = {key: set(step.needs.values()) - finished for key, step in self._waiting.items()}
        self._needed_by: dict[str, list[Step]] = defaultdict(list)
        for key, needs in self._open_needs.items():
            for need in needs:
                self._needed_by[need].append(self._waiting[key])
        self._rank = {key: rank for rank, key in enumerate(self._waiting)}
        self._places = places or {MODELS: len(self._waiting)}
        self._gpus = gpus
        # By place and sort, and heaps, so that the cost of a step does not grow with the number of those that wait.
        self._ready: dict[tuple[str, Hashable], list[tuple[int, str]]] = defaultdict(list)
        self._halving = halving or Halving((), Pruning())
        known = self._halving.known()
        for step in self._waiting.values():
            self._make_ready(step)
        self._running: dict[str, list[Step]] = {}
        self._companions = companions or {}
        self._last_reports: dict[str, Mapping[str, Any]] = {}
        self._losses: Counter[str] = Counter()
        self._furthest: Counter[str] = Counter()
        self._closed = False
        self._outcome = outcome
        self._obey(verdict for verdict in known if not verdict.goes_on)

    @property
    def unfinished(self) -> int:
        """How many steps are waiting or running."""
        return len(self._waiting) + sum(map(len, self._running.values()))

    def close(self) -> None:
        """Hand out no step any more."""
        self._closed = True

    def give_up(self, reason: str) -> None:
        """Hand out no step any more: those that were handed out fail, and all others are skipped."""
        self.close()
        for step in [step for steps in self._running.values() for step in steps]:
            self._give_up(step, "failed", reason)
        for step in self._waiting.values():
            self._outcome(step, "skipped", reason)
        self._running.clear()
        self._waiting.clear()

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """Give the next ready step, None while others must finish first, FINISHED when there will be none."""
        if self._closed:
            return Searcher.FINISHED
        taken = Counter(place_for(steps[0], self._places) for steps in self._running.values())
        full = {kind for kind, places in self._places.items() if taken[kind] >= places}
        for queue in self._ready.values():
            while queue and not self._may_start(queue[0][1]):
                heappop(queue)  # it went along with another, or waits again
        filled = [(place, queue) for (place, _), queue in self._ready.items() if queue]
        for place, queue in sorted(filled, key=lambda entry: entry[1][0]):
            steps = self._taken_along(self._waiting[queue[0][1]])
            if place in full or (self._gpus is not None and self._gpus.awaits(steps)):
                continue
            alone = any(self._losses[step.key] for step in steps)
            share = Share(0.0) if self._gpus is None else self._gpus.take(trial_id, steps, alone)
            if share is not None:
                heappop(queue)
                return self._hand_out(trial_id, steps, share)
            full.add(place)  # nobody who needs less room passes by, or who needs much would never have it
        # What is running may come back.
        return None if self.unfinished else Searcher.FINISHED

    def _hand_out(self, trial_id: str, steps: list[Step], share: Share) -> dict[str, Any]:
        self._running[trial_id] = steps
        for step in steps:
            del self._waiting[step.key]
            self._outcome(step, "running", share.reason)
        first, *others = (step.key for step in steps)
        pause = self._halving.pause_at(first)
        return {
            "step": first,
            **({"beside": others} if others else {}),
            **({"pause_at": pause} if pause else {}),
            **({"gpus": share.gpus} if self._gpus else {}),
        }

    def _may_start(self, key: str) -> bool:
        """Tell whether a step waits for nothing: neither for steps that it needs nor for those it is compared with."""
        return key in self._waiting and not self._open_needs[key] and not self._halving.awaits(key)

    def _make_ready(self, step: Step) -> None:
        """Line a step up if it waits for nothing."""
        if not self._may_start(step.key):
            return
        sort = sort_of([step]) if self._gpus is not None and step.loads_model else None
        heappush(self._ready[place_for(step, self._places), sort], (self._rank[step.key], step.key))

    def _taken_along(self, step: Step) -> list[Step]:
        """Give the steps of one trial: this one with its companions or, if it has been lost before, alone."""
        ready = [other for other in self._companions.get(step.key, ()) if self._may_go_along(other)]
        return ready if step in ready else [step]

    def _may_go_along(self, step: Step) -> bool:
        return self._may_start(step.key) and not self._losses[step.key]

    def on_trial_result(self, trial_id: str, result: Mapping[str, Any]) -> None:
        """Take note of what a step takes of its GPU, and of its tokens: one that comes further may be lost anew."""
        if trial_id not in self._running:
            return  # it was given up
        self._last_reports[trial_id] = result
        if self._gpus is not None:
            self._gpus.expect(self._running[trial_id], result)
        key = str(result.get("of", self._running[trial_id][0].key))
        tokens = int(result.get("tokens") or 0)
        if tokens > self._furthest[key]:
            self._furthest[key] = tokens
            self._losses[key] = 0

    def on_trial_complete(self, trial_id: str, result: Mapping[str, Any] | None = None, error: bool = False) -> None:
        """Mark the trial's steps by what it reported last; one that lost its process after that has lost nothing."""
        steps = self._running.pop(trial_id, [])
        last = self._last_reports.pop(trial_id, None)
        found = result or last or {"state": "running" if error else "failed"}
        ends = {end["step"]: end for end in found.get("ends", ())}
        beside_others = len(steps) > 1
        if self._gpus is not None:
            beside_others |= self._gpus.shares(trial_id)
            self._gpus.leave(trial_id)
            for end in ends.values() or (found,):
                if end.get("state") == "done":  # else it may have been about to take more
                    self._gpus.learn(steps, end)
        for step in steps:
            end = ends.get(step.key, found)
            if error and end.get("state", "running") == "running":
                self._lose(step, "its process was lost")
            elif beside_others and end.get("state") == "failed":
                self._lose(step, f"failed beside others ({end.get('error')})")
            else:
                self._settle(step, end)

    def _settle(self, step: Step, end: Mapping[str, Any]) -> None:
        match end.get("state"):
            case "done":
                self._outcome(step, "done", "")
                self._free_dependants(step)
                self._obey(self._halving.leave(step.key))
            case "ended":
                self._take_back(step, "saved when told to end")
            case "paused":
                self._waiting[step.key] = step
                self._outcome(step, "waiting", "saved, until the others that it is compared with are there")
                self._obey(self._halving.reached(step.key, end["bits_per_character"]))
            case "failed":
                self._give_up(step, "failed", end.get("error"))
            case _:
                self._lose(step, "its trial was stopped")

    def _obey(self, verdicts: Iterable[Verdict]) -> None:
        """Hand those who go on out again and give the others up, but who was finished by an earlier run."""
        for verdict in verdicts:
            step = self._waiting.get(verdict.key)
            if step is not None and verdict.goes_on:
                self._make_ready(step)
            elif step is not None:
                del self._waiting[step.key]
                self._give_up(step, "pruned", verdict.reason)

    def _lose(self, step: Step, reason: str) -> None:
        """Hand a step out again that lost its process, or failed in one or on a GPU that it shared.

        Tune's own retries are of no use here: a step that it gives to a process that died idle fails at once.
        """
        self._losses[step.key] += 1
        if self._losses[step.key] > LOSSES:
            reason = f"its process was lost {self._losses[step.key]} times without coming further"
            self._give_up(step, "failed", reason)
            return
        self._take_back(step, reason)

    def _take_back(self, step: Step, reason: str) -> None:
        self._waiting[step.key] = step
        self._make_ready(step)
        self._outcome(step, "waiting", reason)

    def _give_up(self, step: Step, state: str, reason: str | None) -> None:
        self._outcome(step, state, str(reason))
        self._skip_dependants(step, state)
        self._obey(self._halving.leave(step.key))

    def _free_dependants(self, done: Step) -> None:
        for step in self._needed_by[done.key]:
            self._open_needs[step.key].discard(done.key)
            self._make_ready(step)

    def _skip_dependants(self, lost: Step, state: str) -> None:
        for step in self._needed_by[lost.key]:
            if self._waiting.pop(step.key, None) is not None:
                # What follows a student that was stopped on purpose is no failure of the run.
                own = "pruned" if state == "pruned" else "skipped"
                reason = f"needs {lost.title}, which {'failed' if state == 'failed' else 'was ' + state}"
                self._outcome(step, own, reason)
                self._skip_dependants(step, own)
                self._obey(self._halving.leave(step.key))

    def __getstate__(self) -> dict[str, Any]:
        """Leave out whom to tell: Tune stores its searcher, and a terminal is not part of an experiment."""
        return {name: value for name, value in self.__dict__.items() if name != "_outcome"}

    def save(self, checkpoint_path: str) -> None:
        """Nothing to save: what is done is known from the steps' folders."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing to restore."""
