"""A whole sweep: check, plan, run what is not done on Ray Tune, and gather the results."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..config import RunConfig, differences, to_yaml
from ..config_sources import load_config
from ..errors import ConfigError, StorageError
from ..locks import LOCK, Held, locked
from ..planning.plan import Plan
from ..planning.step import Step
from ..results.records import CONFIG, PLAN, RESULTS, STATUS, Record, RecordFile
from ..run_storage import RunStorage, storage_at
from ..steps.run import run_step
from ..storage import at_once, read_result, write_json, write_text
from ..trackers.telling import Trackers
from .keeping import KeptRun
from .launch import Body
from .products import choose_best, write_page
from .progress import Board
from .status import StatusFile
from .tuning import tune_steps

PUBLISH_SECONDS = 30
"""How often a run that is kept in a bucket is published while it goes on."""


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
            f"--config {shlex.quote(str(written))}, or choose another --name (finished steps are shared by all runs in "
            f"{run.parent})"
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
    results = at_once(read_result, [steps_folder / step.key for step in new])
    records.append(
        *(record for step, result in zip(new, results, strict=True) for record in records_in(result, step, storage))
    )
    for key in done:
        status.change(key, "done")
    trackers.tell(step for step in plan if status.states[step.key][0] == "done")
    interrupted = False
    if len(done) < len(plan):
        try:
            interrupted = tune_steps(config, plan, done, run, board, status, outcome, body)
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


def records_in(result: Mapping[str, Any], step: Step, storage: RunStorage) -> list[Record]:
    """Give the record of a finished step's result, if its kind makes one, with the names that this run has for things.

    A run with which it shares the step may have called the teacher or the recipe otherwise.
    """
    if result.get("record") is None:
        return []
    record = Record.model_validate(result["record"])
    names = {name: step.about[name] for name in ("recipe", "teacher", "assignment") if name in step.about}
    return [record.model_copy(update={"model_dir": storage.place_of(record.model_dir), **names})]
