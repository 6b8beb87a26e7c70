"""Running one step, whatever its kind: skip what is done, write metrics and the log, mark the end."""

from __future__ import annotations

import json
import logging
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from ..credentials import MaskingFormatter
from ..locks import LOCK, locked_in_turn
from ..models.loading import silence_transformers
from ..planning.step import Step
from ..storage import METRICS, append_line, is_done, mark_done, read_result, told_when_full
from .context import Context, Job
from .device_memory import forget_peak, peak_memory


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


def run_in_turn(job: Job, run: Callable[[Job], dict[str, Any]]) -> dict[str, Any]:
    """Let ``run`` run a step when no other process does; if another has finished it by then, give what that one made.

    Runs share steps, and two of them may come to one at the same time.
    """
    with in_turn([job]) as left:
        return run(job) if left else read_result(job.folder)


@contextmanager
def in_turn(jobs: Sequence[Job]) -> Iterator[list[Job]]:
    """Give those of some steps that are still to be run, as soon as no other process runs any of them."""
    with ExitStack() as mine:
        # In one order for all, so that two runs never wait for each other.
        for job in sorted(jobs, key=lambda job: job.folder):
            if not is_done(job.folder):
                mine.enter_context(locked_in_turn(job.folder / LOCK))
        yield [job for job in jobs if not is_done(job.folder)]


def run_step(job: Job, context: Context) -> dict[str, Any]:
    """Run a step to its end and give its result; a finished step gives its stored result at once.

    On several ranks all of them run the step; rank 0 writes. Metrics go to ``metrics.jsonl`` in the step's folder, what
    else is worth telling to ``log.txt`` (of other ranks than 0 to ``log-<rank>.txt``).
    """
    if is_done(job.folder):
        _drop_checkpoints(job, context)  # it may have been killed right after it was done
        return read_result(job.folder)
    context.wait_for_all()  # before one that is quick marks the end
    job.folder.mkdir(parents=True, exist_ok=True)
    silence_transformers()
    forget_peak(context.device)
    began, clock = time.time(), time.monotonic()
    log = job.folder / (f"log-{context.rank}.txt" if context.rank else "log.txt")
    with _logging_to(log), told_when_full(job.folder):
        result = _runner(job.kind)(job, _Recording(context, job.folder / METRICS))
        finished = began + time.monotonic() - clock  # whatever the wall clock was set to meanwhile
        facts = {"kind": job.kind, "about": dict(job.about), "started": began, "finished": finished}
        result = {**result, **facts, **peak_memory(context.device)}
        if context.rank == 0:
            mark_done(job.folder, result)
        _drop_checkpoints(job, context)
    context.wait_for_all()
    return result


def _drop_checkpoints(job: Job, context: Context) -> None:
    if context.rank == 0:
        shutil.rmtree(job.checkpoints, ignore_errors=True)


@contextmanager
def _logging_to(file: Path) -> Iterator[None]:
    """Write what the package's modules log in this thread into ``file``, which appears with the first line."""
    logger = logging.getLogger(__package__.partition(".")[0])
    handler = logging.FileHandler(file, encoding="utf-8", delay=True)
    handler.setFormatter(MaskingFormatter("%(asctime)s %(levelname)s %(message)s"))
    own = threading.get_ident()
    handler.addFilter(lambda record: record.thread == own)
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)  # and left so: other steps of this process may still write their logs
    try:
        yield
    finally:
        logger.removeHandler(handler)
        handler.close()


def _runner(kind: str) -> Callable[[Job, Context], dict[str, Any]]:
    """Give ``run`` of the kind's module: only what a step needs is imported."""
    runner: Callable[[Job, Context], dict[str, Any]] = import_module(f".{kind.replace('-', '_')}", __package__).run
    return runner


class _Recording:
    """A context that also writes what is reported to the step's own file."""

    def __init__(self, inner: Context, path: Path) -> None:
        self._inner, self._path = inner, path

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        return getattr(self._inner, name)

    def report(self, metrics: dict[str, Any]) -> None:
        metrics = {**metrics, **peak_memory(self._inner.device)}
        if self._inner.rank == 0:
            append_line(self._path, json.dumps({"time": round(time.time(), 3), **metrics}))
        self._inner.report(metrics)
