"""The steps of a plan as trials of Ray Tune."""

from __future__ import annotations

import io
import os
import pickle
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from functools import partial
from pathlib import Path
from typing import Any

from ray import tune

from ..config import RunConfig
from ..planning.halving import Halving, competes
from ..planning.plan import Plan
from ..planning.sharing import companions
from ..planning.step import Step
from ..run_storage import storage_at
from ..steps.examination import earlier_measures
from ..storage import METRICS, at_once, read_result
from .cluster import connected, find_slot, places_for
from .ending import Ending
from .feed import Feed
from .keeping import run_kept
from .launch import Body, patience, quiet, run_trial
from .nodes import check_nodes
from .progress import Board
from .room import Room
from .scheduler import InOrderScheduler
from .searcher import METRIC, StepSearcher
from .slot import reserved_for
from .status import StatusFile

SNAPSHOT_SECONDS = 600
"""How often ``<run>/tune`` is brought up to date; what is shown of a run while it runs is read from elsewhere."""
Told = Callable[[Step, str, str], None]


def tune_steps(
    config: RunConfig,
    plan: Plan,
    done: list[str],
    run: Path,
    board: Board,
    status: StatusFile,
    outcome: Told,
    body: Body,
) -> bool:
    """Carry out every step of ``plan`` that is not ``done``; tell whether it ended before all of them had been tried.

    ``outcome(step, state, reason)`` hears of each change; what it raises ends the rest and is raised here.
    """
    quiet()
    # With each snapshot Tune copies the log files of all trials again, by default every ten seconds.
    os.environ.setdefault("TUNE_GLOBAL_CHECKPOINT_S", str(SNAPSHOT_SECONDS))
    with connected(config.execution) as resources:
        check_nodes(run.parent if storage_at(config.storage).is_folder else None)
        slot, parallel = find_slot(config.execution, resources, plan)
        board.placed(slot, parallel)
        shared = companions(plan) if config.execution.share_teacher else {}
        places, gpus = places_for(config.execution, resources, plan, slot, parallel)
        if gpus is not None:
            results = dict(zip(done, at_once(read_result, [run.parent / "steps" / key for key in done]), strict=True))
            for step in plan:
                gpus.learn([step], results.get(step.key, {}))
        problems: list[Exception] = []

        def tell(step: Step, state: str, reason: str) -> None:
            try:
                outcome(step, state, reason)
            except Exception as problem:  # Tune would swallow it, and what waits for this step wait for ever
                problems.append(problem)
                ending.begin()

        ending = Ending(lambda: searcher.close())
        searcher = StepSearcher(plan, done, tell, shared, places, _halving(plan, done, config, run), gpus)
        room = Room(searcher.give_up, patience())
        # Packed one by one: a trial unpacks its own step, whatever the length of the plan.
        steps = {step.key: pickle.dumps(step) for step in plan}
        work = partial(run_kept, body=body, place=config.storage, run=run.absolute())
        trainable = tune.with_parameters(run_trial, steps=steps, folder=str(run.parent / "steps"), slot=slot, body=work)
        tuner = tune.Tuner(
            tune.with_resources(trainable, partial(reserved_for, slot=slot)),
            tune_config=tune.TuneConfig(
                metric=METRIC,
                mode="max",
                search_alg=searcher,
                scheduler=InOrderScheduler(),
                num_samples=-1,
                max_concurrent_trials=sum(places.values()),  # without it Tune prepares one trial at a time
                trial_name_creator=_trial_name,
                trial_dirname_creator=_trial_name,
                reuse_actors=True,
            ),
            run_config=tune.RunConfig(
                name="tune",
                storage_path=str(run),
                verbose=0,
                failure_config=tune.FailureConfig(max_failures=0),  # the searcher hands a lost step out again
                callbacks=[Feed(board, status), ending, room],
                stop=room,
            ),
        )
        with _silent_stdout(), ending.on_sigterm():
            tuner.fit()
    if problems:
        raise problems[0]
    return searcher.unfinished > 0


def _halving(plan: Plan, done: Sequence[str], config: RunConfig, run: Path) -> Halving | None:
    """Let students compete if that is asked for, with what earlier runs have measured."""
    if not config.pruning.enabled:
        return None
    students = [step.key for step in plan if competes(step)]
    storage_at(config.storage).fetch(f"steps/{key}/{METRICS}" for key in students)
    measured = at_once(earlier_measures, [run.parent / "steps" / key for key in students])
    return Halving(plan, config.pruning, dict(zip(students, measured, strict=True)), done)


def _trial_name(trial: Any) -> str:  # noqa: ANN401
    return str(trial.config["step"])


@contextmanager
def _silent_stdout() -> Iterator[None]:
    """Swallow what Tune prints to stdout even when told to be quiet; the board writes to its own stream."""
    with redirect_stdout(io.StringIO()):
        yield
