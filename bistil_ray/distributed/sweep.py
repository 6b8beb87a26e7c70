"""A whole sweep: check, plan, run what is not done on Ray Tune, and gather the results."""

from __future__ import annotations

import io
import os
import pickle
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from ..config import RunConfig, differences, to_yaml
from ..config_sources import load_config
from ..errors import ConfigError, StorageError
from ..locks import LOCK, Held, locked
from ..planning.halving import Halving, competes
from ..planning.plan import Plan
from ..planning.sharing import companions
from ..planning.step import Step
from ..results.records import CONFIG, PLAN, RESULTS, STATUS, Record, RecordFile
from ..run_storage import RunStorage, storage_at
from ..steps.examination import earlier_measures
from ..steps.run import run_step
from ..storage import METRICS, read_result, write_json, write_text
from ..trackers.telling import Trackers
from .keeping import KeptRun, run_kept
from .launch import Body, patience, quiet, run_trial
from .products import choose_best, write_page
from .progress import Board
from .status import StatusFile

LOOKS_AT_ONCE = 32
PUBLISH_SECONDS = 30
"""How often a run that is kept in a bucket is published while it goes on."""
SNAPSHOT_SECONDS = 600
"""How often ``<run>/tune`` is brought up to date; what is shown of a run while it runs is read from elsewhere."""
Told = Callable[[Step, str, str], None]
Seen = TypeVar("Seen")


@dataclass(frozen=True)
class Outcome:
    """How a sweep ended: the states of its steps by key, with the reason where one did not finish."""

    run: Path
    states: dict[str, tuple[str, str]]
    interrupted: bool

    @property
    def failed(self) -> dict[str, str]:
        """Steps that did not finish, with the reason."""
        return {
            key: f"{state}: {reason}" for key, (state, reason) in self.states.items() if state in {"failed", "skipped"}
        }


def check_name(config: RunConfig, run: Path) -> None:
    """Refuse the name of a run that was made with another configuration."""
    written = run / CONFIG
    if run.exists() and not run.is_dir():
        raise StorageError(f"{run} is a file, where a run would have its folder: choose another --name")
    storage_at(config.storage).fetch([f"{run.name}/{written.name}"])
    try:
        changed = differences(load_config(str(written)), config) if written.exists() else []
    except ConfigError as problem:
        raise StorageError(f"{written} cannot be read: {problem}; restore it, or choose another --name") from problem
    if changed:
        raise StorageError(
            f"run {run.name!r} was made with another configuration ({'; '.join(changed)}): continue it with "
            f"--config {written}, or choose another --name (finished steps are shared by all runs in {run.parent})"
        )


def open_run(config: RunConfig, plan: Plan, run: Path) -> None:
    """Make the run's folder and write its configuration and plan; refuse the name of a run that is another one."""
    check_name(config, run)
    run.mkdir(parents=True, exist_ok=True)
    write_text(run / CONFIG, to_yaml(config))
    write_json(run / PLAN, plan.to_dict())


def run_sweep(config: RunConfig, plan: Plan, run: Path, board: Board, body: Body = run_step) -> Outcome:
    """Carry out every step of ``plan`` that is not done; append records as they come; choose the best per language.

    Raises StorageError where the run was made with another configuration, or another process is carrying it out.
    """
    try:
        with locked(run / LOCK):
            open_run(config, plan, run)
            return _carry_out(config, plan, run, board, body)
    except Held as holder:
        raise StorageError(
            f"run {run.name!r} is being carried out by {holder}: wait for its end, or choose another --name "
            f"(finished steps are shared by all runs in {run.parent})"
        ) from holder


def _carry_out(config: RunConfig, plan: Plan, run: Path, board: Board, body: Body) -> Outcome:
    storage = storage_at(config.storage)
    kept, steps_folder, records = KeptRun(storage, run), run.parent / "steps", RecordFile(run / RESULTS)
    status = StatusFile(run / STATUS, (step.key for step in plan))
    trackers = Trackers(config.tracking, run, kept.fetch_result)

    def outcome(step: Step, state: str, reason: str) -> None:
        status.change(step.key, state, reason)
        if state == "done":
            kept.fetch_result(step.key)
            records.append(*records_in(read_result(steps_folder / step.key), step, storage))
            trackers.tell([step])
        kept.publish(PUBLISH_SECONDS)
        board.changed(step, state, reason)

    done = [name.removeprefix("steps/") for name in storage.finished([f"steps/{step.key}" for step in plan])]
    board.begin(plan.steps, done)
    finished = set(done)
    new = [step for step in plan if step.key in finished and step.key not in records]
    results = _at_once(read_result, [steps_folder / step.key for step in new])
    records.append(
        *(record for step, result in zip(new, results, strict=True) for record in records_in(result, step, storage))
    )
    for key in done:
        status.change(key, "done")
    trackers.tell(step for step in plan if status.states[step.key][0] == "done")
    interrupted = False
    if len(done) < len(plan):
        try:
            interrupted = _tune(config, plan, done, run, board, status, outcome, body)
        finally:
            board.end()
    choose_best(run, config, storage)
    for key, (state, _) in status.states.items():
        if state == "running":  # when the run was interrupted: it runs no longer
            status.change(key, "waiting")
    status.write()
    kept.publish()
    write_page(run, storage)
    kept.publish()
    trackers.close()
    return Outcome(run, status.states, interrupted)


def _at_once(look: Callable[[Path], Seen], folders: Sequence[Path]) -> list[Seen]:
    """Look at many folders side by side: on a shared mount each look is a moment's wait."""
    with ThreadPoolExecutor(LOOKS_AT_ONCE) as pool:
        return list(pool.map(look, folders))


def records_in(result: Mapping[str, Any], step: Step, storage: RunStorage) -> list[Record]:
    """Give the record of a finished step's result, if its kind makes one, with the names that this run has for things.

    A run with which it shares the step may have called the teacher or the recipe otherwise.
    """
    if result.get("record") is None:
        return []
    record = Record.model_validate(result["record"])
    names = {name: step.about[name] for name in ("recipe", "teacher", "assignment") if name in step.about}
    return [record.model_copy(update={"model_dir": storage.place_of(record.model_dir), **names})]


def _tune(
    config: RunConfig,
    plan: Plan,
    done: list[str],
    run: Path,
    board: Board,
    status: StatusFile,
    outcome: Told,
    body: Body,
) -> bool:
    quiet()
    # With each snapshot Tune copies the log files of all trials again, by default every ten seconds.
    os.environ.setdefault("TUNE_GLOBAL_CHECKPOINT_S", str(SNAPSHOT_SECONDS))
    from ray import tune

    from .cluster import connected, find_slot, places_for
    from .ending import Ending
    from .feed import Feed
    from .nodes import check_nodes
    from .room import Room
    from .scheduler import InOrderScheduler
    from .searcher import METRIC, StepSearcher
    from .slot import reserved_for

    with connected(config.execution) as resources:
        check_nodes(run.parent if storage_at(config.storage).is_folder else None)
        slot, parallel = find_slot(config.execution, resources, plan)
        board.placed(slot, parallel)
        shared = companions(plan) if config.execution.share_teacher else {}
        places, gpus = places_for(config.execution, resources, plan, slot, parallel)
        if gpus is not None:
            results = dict(zip(done, _at_once(read_result, [run.parent / "steps" / key for key in done]), strict=True))
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
    measured = _at_once(earlier_measures, [run.parent / "steps" / key for key in students])
    return Halving(plan, config.pruning, dict(zip(students, measured, strict=True)), done)


def _trial_name(trial: Any) -> str:  # noqa: ANN401
    return str(trial.config["step"])


@contextmanager
def _silent_stdout() -> Iterator[None]:
    """Swallow what Tune prints to stdout even when told to be quiet; the board writes to its own stream."""
    with redirect_stdout(io.StringIO()):
        yield
