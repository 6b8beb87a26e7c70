"""A sweep that was killed goes on where it was, and ends as if nothing had happened."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bistil_ray.config import RunConfig, to_yaml
from bistil_ray.planning.plan import Plan
from bistil_ray.results.records import Record, read_records
from bistil_ray.steps.local import run_here

DEADLINE = 300
MEASURED = ("latency_ms", "seconds", "time", "model_dir")
"""What differs between two runs of the same."""


def start(config: Path) -> subprocess.Popen[bytes]:
    """Start the sweep of a configuration file, as a user would, in a process group of its own."""
    command = [sys.executable, "-m", "bistil_ray.cli", "sweep", "--config", str(config), "--quiet"]
    return subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL)


def wait_for(storage: Path, pattern: str, sweep: subprocess.Popen[bytes]) -> Path:
    """Wait until something lies at ``pattern`` in ``storage``; the sweep must still be running then."""
    deadline = time.monotonic() + DEADLINE
    while time.monotonic() < deadline:
        if found := next(storage.glob(pattern), None):
            return found
        assert sweep.poll() is None, f"the sweep ended before there was {pattern}"
        time.sleep(0.02)
    raise AssertionError(f"no {pattern} after {DEADLINE} seconds")


@pytest.mark.slow
def test_a_killed_sweep_is_continued_and_ends_as_if_nothing_had_happened(
    plan_of: Callable[..., tuple[RunConfig, Plan]], tiny_settings: dict[str, Any], tmp_path: Path
) -> None:
    storage = tmp_path / "runs"
    distil = {**tiny_settings["distil"], "checkpoint_minutes": 1e-9}  # a checkpoint every step
    config, plan = plan_of(langs=["sw"], storage=str(storage), name="killed", distil=distil)
    config_file = tmp_path / "config.yaml"
    config_file.write_text(to_yaml(config))
    sweep = start(config_file)
    try:
        checkpoint = wait_for(storage, "steps/distil-*/checkpoints/step-*", sweep)
    finally:
        os.kill(sweep.pid, signal.SIGKILL)
        sweep.wait()
    interrupted = checkpoint.parents[1]
    finished = {path: path.stat().st_mtime_ns for path in storage.glob("steps/*/DONE")}
    assert any(path.parent.name.startswith("pack-") for path in finished)
    assert interrupted / "DONE" not in finished

    assert start(config_file).wait(timeout=DEADLINE) == 0
    assert {path: path.stat().st_mtime_ns for path in finished} == finished
    steps = [json.loads(line).get("step") for line in (interrupted / "metrics.jsonl").read_text().splitlines()]
    assert steps.count(1) == 1, "the interrupted student began again instead of going on from its checkpoint"

    results = run_here(plan, tmp_path / "undisturbed")
    undisturbed = {key: Record.model_validate(end["record"]) for key, end in results.items() if "record" in end}
    records = {record.step: record for record in read_records(storage / "killed")}
    assert records.keys() == undisturbed.keys()
    for key, record in records.items():
        assert record.model_dump(exclude=set(MEASURED)) == undisturbed[key].model_dump(exclude=set(MEASURED))
