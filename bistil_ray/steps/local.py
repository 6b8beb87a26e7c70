"""Running steps here and now, one after the other, without ray: for single commands and tests."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

from ..planning.step import Step
from ..train.allocator import keep_freed
from .context import LocalContext
from .run import make_job, run_in_turn, run_step


def run_here(
    steps: Iterable[Step],
    steps_folder: Path,
    report: Callable[[Step, dict[str, Any]], None] = lambda step, metrics: None,
) -> dict[str, dict[str, Any]]:
    """Run ``steps`` in their order, those that are done being skipped; give their results by key."""
    keep_freed()
    results: dict[str, dict[str, Any]] = {}
    for step in steps:
        context = LocalContext(lambda metrics, step=step: report(step, metrics))  # type: ignore[misc]
        results[step.key] = run_in_turn(make_job(step, steps_folder), partial(run_step, context=context))
    return results
