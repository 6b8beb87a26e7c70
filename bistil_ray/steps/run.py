"""Running one step, whatever its kind: skip what is done, write metrics, mark the end."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from ..planning.step import Step
from ..storage import append_line, is_done, mark_done, read_result
from .context import Context, Job

# The module and function of each kind of step: a new kind plugs in here and in plan.py.
RUNNERS = {
    "pack": "pack:run",
    "pretrain": "pretrain:run",
    "adapt": "adapt:run",
    "task-teacher": "task_teacher:run",
    "evaluate": "evaluate:run",
    "distil": "distil:run",
    "finetune": "finetune:run",
    "predict": "predict:run",
    "merge": "merge:run",
}


def make_job(step: Step, steps_folder: Path) -> Job:
    """Resolve a step of the plan to folders."""
    return Job(
        kind=step.kind,
        settings=step.settings,
        inputs=step.inputs,
        needs={role: steps_folder / key for role, key in step.needs.items()},
        folder=steps_folder / step.key,
        runtime=step.runtime,
        about=step.about,
    )


def run_step(job: Job, context: Context) -> dict[str, Any]:
    """Run a step to its end and give its result; a finished step gives its stored result at once.

    On several ranks all of them run the step; rank 0 writes. Metrics go to ``metrics.jsonl`` in the step's folder.
    """
    if is_done(job.folder):
        return read_result(job.folder)
    context.wait_for_all()  # before one that is quick marks the end
    job.folder.mkdir(parents=True, exist_ok=True)
    silence_transformers()
    began = time.time()
    result = _runner(job.kind)(job, _Recording(context, job.folder / "metrics.jsonl"))
    result = {**result, "kind": job.kind, "about": dict(job.about), "started": began, "finished": time.time()}
    if context.rank == 0:
        mark_done(job.folder, result)
        shutil.rmtree(job.folder / "checkpoints", ignore_errors=True)
    context.wait_for_all()
    return result


def silence_transformers() -> None:
    """Keep transformers' progress bars, and its reports of heads that are meant to be new, out of logs."""
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()


def _runner(kind: str) -> Callable[[Job, Context], dict[str, Any]]:
    module, function = RUNNERS[kind].split(":")
    runner: Callable[[Job, Context], dict[str, Any]] = getattr(import_module(f"{__package__}.{module}"), function)
    return runner


class _Recording:
    """A context that also writes what is reported to the step's own file."""

    def __init__(self, inner: Context, path: Path) -> None:
        self._inner, self._path = inner, path

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        return getattr(self._inner, name)

    def report(self, metrics: dict[str, Any]) -> None:
        if self._inner.rank == 0:
            append_line(self._path, json.dumps({"time": round(time.time(), 3), **metrics}))
        self._inner.report(metrics)
