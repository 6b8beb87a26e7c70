"""A whole sweep: check, plan, run what is not done on Ray Tune, and gather the results."""

from __future__ import annotations

import io
import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..config import RunConfig, differences, to_yaml
from ..config_sources import load_config
from ..dashboard.page import write_report
from ..errors import StorageError
from ..export.card import model_card
from ..export.origin import Origin
from ..planning.plan import Plan
from ..planning.step import Step
from ..results.records import Record, append_record, read_records
from ..results.tables import best_per_language
from ..storage import is_done, read_result, replacing, write_json, write_text
from .launch import quiet, run_trial
from .progress import Board

log = logging.getLogger(__name__)


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
    written = run / "config.yaml"
    changed = differences(load_config(str(written)), config) if written.exists() else []
    if changed:
        raise StorageError(
            f"run {run.name!r} was made with another configuration ({'; '.join(changed)}): continue it with "
            f"--config {written}, or choose another --name (finished steps are shared by all runs in {run.parent})"
        )


def open_run(config: RunConfig, plan: Plan, run: Path) -> None:
    """Make the run's folder and write its configuration and plan; refuse the name of a run that is another one."""
    check_name(config, run)
    run.mkdir(parents=True, exist_ok=True)
    write_text(run / "config.yaml", to_yaml(config))
    write_json(run / "plan.json", plan.to_dict())


def finished_steps(plan: Plan, steps_folder: Path) -> list[str]:
    """Keys of the plan's steps whose folder is complete."""
    return [step.key for step in plan if is_done(steps_folder / step.key)]


def run_sweep(config: RunConfig, plan: Plan, run: Path, board: Board) -> Outcome:
    """Carry out every step of ``plan`` that is not done; append records as they come; choose the best per language."""
    steps_folder = run.parent / "steps"
    done = finished_steps(plan, steps_folder)
    states: dict[str, tuple[str, str]] = {step.key: ("waiting", "") for step in plan}

    def write_status() -> None:
        write_json(run / "status.json", {key: {"state": s, "reason": r} for key, (s, r) in states.items()})

    def outcome(step: Step, state: str, reason: str) -> None:
        states[step.key] = (state, reason)
        if state == "done":
            record_step(run, steps_folder / step.key)
        write_status()
        board.changed(step, state, reason)

    board.begin(plan, done)
    for key in done:
        states[key] = ("done", "")
        record_step(run, steps_folder / key)
    interrupted = False
    if len(done) < len(plan):
        interrupted = _tune(config, plan, done, run, board, outcome)
    for lang in config.langs:
        publish_best(run, lang, config)
    # What was running when the run was interrupted runs no longer.
    states |= {key: ("waiting", "") for key, (state, _) in states.items() if state == "running"}
    write_status()
    publish_report(run)
    board.end()
    return Outcome(run, states, interrupted)


def record_step(run: Path, folder: Path) -> None:
    """Append the record of a finished step to the run's results, if it makes one and it is not there yet."""
    record = read_result(folder).get("record")
    if record is not None:
        append_record(run / "results.jsonl", Record.model_validate(record))


def publish_best(run: Path, lang: str, config: RunConfig) -> None:
    """Copy the language's best student to ``best/<lang>`` and write its card, if there is one."""
    records = read_records(run)
    best = best_per_language(records).get(lang)
    if best is None:
        return
    with replacing(run / "best" / lang) as folder:
        shutil.copytree(best.model_dir, folder)
        write_text(folder / "README.md", model_card(folder, Origin(best, records, config)))


def publish_report(run: Path) -> None:
    """Write the run as a page, ``report.html``; a page that cannot be written takes nothing from the run."""
    try:
        write_report(run, run / "report.html")
    except Exception as problem:
        log.warning("report.html was not written: %s", problem)


def _tune(config: RunConfig, plan: Plan, done: list[str], run: Path, board: Board, outcome: Any) -> bool:  # noqa: ANN401
    quiet()
    from ray import tune

    from .cluster import connected, find_slot
    from .scheduler import make_scheduler
    from .searcher import METRIC, StepSearcher

    with connected(config.execution) as resources:
        slot, parallel = find_slot(config.execution, resources, plan)
        board.placed(slot, parallel)
        searcher = StepSearcher(plan, done, outcome)
        steps = {step.key: step for step in plan}
        trainable = tune.with_parameters(run_trial, steps=steps, folder=str(run.parent / "steps"), slot=slot)
        tuner = tune.Tuner(
            tune.with_resources(trainable, slot.trial_resources),
            tune_config=tune.TuneConfig(
                metric=METRIC,
                mode="max",
                search_alg=searcher,
                scheduler=make_scheduler(plan, config.pruning),
                num_samples=-1,
                max_concurrent_trials=parallel,
                trial_name_creator=_trial_name,
                trial_dirname_creator=_trial_name,
                reuse_actors=not config.pruning.enabled,
            ),
            run_config=tune.RunConfig(
                name="tune",
                storage_path=str(run),
                verbose=0,
                failure_config=tune.FailureConfig(max_failures=1),
                callbacks=[board.tune_callback()],
            ),
        )
        with _silent_stdout():
            tuner.fit()
    return searcher.unfinished > 0


def _trial_name(trial: Any) -> str:  # noqa: ANN401
    return str(trial.config["step"])


@contextmanager
def _silent_stdout() -> Iterator[None]:
    """Swallow what Tune prints to stdout even when told to be quiet; the board writes to its own stream."""
    with redirect_stdout(io.StringIO()):
        yield
