"""A sweep of minutes at most, on the embedded sample: one language, one teacher, few steps; started as a user would."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from bistil_ray.results.records import read_records
from bistil_ray.sample.generate import materialise

NAME = "tiny"
DEADLINE = 900.0
"""Seconds after which something that was waited for is taken not to come."""
CHANGING = ("latency_ms", "seconds", "time", "model_dir")
"""What differs between the records of two runs that are the same."""
ROWS = 400
"""Rows that are taken of each file of the sample."""
SETTINGS = (
    "distil.steps=60", "distil.evaluations=1", "teach.epochs=2", "finetune.dense_epochs=1.5",
    "finetune.sparse_epochs=2", "distil.checkpoint_minutes=0.01", "teach.checkpoint_minutes=0.01",
    "finetune.checkpoint_minutes=0.01",
)  # fmt: skip


@dataclass(frozen=True)
class TinySweep:
    """One run: where it is stored, the folder of its inputs (see ``make_inputs``), the command's further words.

    Without a folder of inputs it is a sweep of the embedded sample as it comes, all of it.
    """

    storage: Path
    inputs: Path | None
    more: tuple[str, ...] = ()

    def flags(self) -> dict[str, str]:
        """Give the settings that are flags of the command."""
        place = {"storage": str(self.storage), "name": NAME}
        if self.inputs is None:
            return place
        return place | {
            "langs": "sw",
            "densities": "0.08",
            "teachers": str(self.inputs / "teacher"),
            "corpora": str(self.inputs / "corpora"),
            "task_data": str(self.inputs / "ner"),
        }

    def command(self, *more: str) -> list[str]:
        """Give the command line."""
        flags = [word for name, value in self.flags().items() for word in (f"--{name.replace('_', '-')}", value)]
        sets = [word for setting in SETTINGS if self.inputs for word in ("--set", setting)]
        begin = [sys.executable, "-m", "bistil_ray.cli", "sweep", "--config", "sample", "--quiet"]
        return [*begin, *flags, *sets, *self.more, *more]

    def start(self, *more: str) -> subprocess.Popen[str]:
        """Start the command in a process group of its own."""
        return subprocess.Popen(
            self.command(*more),
            start_new_session=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "RAY_AUTH_MODE": "disabled", "OMP_NUM_THREADS": "1"},
        )

    def folder(self, kind: str) -> Path | None:
        """Give the folder of the step of a kind, once there is one."""
        return next(self.storage.glob(f"steps/{kind}-*"), None)

    def lines(self, kind: str) -> list[dict[str, Any]]:
        """Read what the step of a kind has reported so far."""
        folder = self.folder(kind)
        file = folder / "metrics.jsonl" if folder else None
        if file is None or not file.exists():
            return []
        return [json.loads(line) for line in file.read_text().splitlines() if line.endswith("}")]

    def events(self) -> int:
        """Count what has happened so far: figures reported and steps finished."""
        files = list(self.storage.glob("steps/*/metrics.jsonl"))
        return sum(file.read_bytes().count(b"\n") for file in files) + len(list(self.storage.glob("steps/*/DONE")))

    def finished(self) -> dict[Path, int]:
        """Give the completion markers with their times, which tell whether a step was done again."""
        return {path: path.stat().st_mtime_ns for path in self.storage.glob("steps/*/DONE")}

    def outcome(self) -> dict[str, Any]:
        """Give what the run came to: its records without figures of time, and the digests of its SFTs."""
        records = read_records(self.storage / NAME) if (self.storage / NAME / "results.jsonl").exists() else []
        found: dict[str, Any] = {record.step: record.model_dump(exclude=set(CHANGING)) for record in records}
        for file in self.storage.glob("steps/*/sft/sft.json"):
            found[f"{file.parents[1].name}/sft"] = json.loads(file.read_text())["sha256"]
        return found

    def done_twice(self) -> int:
        """Count the optimiser steps that were taken again after a fault, from the figures reported."""
        again = 0
        for file in self.storage.glob("steps/*/metrics.jsonl"):
            highest: dict[str, int] = {}
            for line in map(json.loads, file.read_text().splitlines()):
                if "loss" in line:
                    phase, step = line.get("phase", ""), line["step"]
                    again += max(0, highest.get(phase, 0) - step + 1) if step <= highest.get(phase, 0) else 0
                    highest[phase] = step
        return again


def make_inputs(folder: Path) -> Path:
    """Cut the embedded sample to a few hundred rows a file, with the smaller of its teachers."""
    made = materialise(folder / "sample")
    for place, name in ((made.corpora, "corpora"), (made.task_data, "ner")):
        for file in place.rglob("*.parquet"):
            target = folder / name / file.relative_to(place)
            target.parent.mkdir(parents=True, exist_ok=True)
            pq.write_table(pq.read_table(file).slice(0, ROWS), target, row_group_size=ROWS // 4)
    shutil.copytree(made.teachers["sample-small"], folder / "teacher", dirs_exist_ok=True)
    return folder


def wait_until(
    there: Callable[[], Any], sweep: subprocess.Popen[str] | None = None, seconds: float = DEADLINE
) -> float:
    """Return, with the seconds it took, when ``there`` gives something; RuntimeError if the sweep ends before."""
    began = time.monotonic()
    while not there():
        if sweep is not None and sweep.poll() is not None and not there():
            raise RuntimeError(f"the sweep ended too early ({sweep.returncode}): {last_words(sweep)}")
        if time.monotonic() - began > seconds:
            raise RuntimeError(f"nothing happened for {seconds:g} seconds")
        time.sleep(0.05)
    return time.monotonic() - began


def end(sweep: subprocess.Popen[str], seconds: float = DEADLINE) -> tuple[int, str]:
    """Wait for the end of a sweep; give its exit code and what it wrote to stderr."""
    _, words = sweep.communicate(timeout=seconds)
    return sweep.returncode, words


def last_words(sweep: subprocess.Popen[str]) -> str:
    """Give the last line that an ended sweep wrote to stderr."""
    _, words = sweep.communicate(timeout=60)
    return (words.strip().splitlines() or [""])[-1]


def wait_for_file(tiny: TinySweep, pattern: str, sweep: subprocess.Popen[str]) -> Path:
    """Wait until something lies at ``pattern`` in a run's storage, and give it."""
    wait_until(lambda: any(tiny.storage.glob(pattern)), sweep)
    return next(tiny.storage.glob(pattern))
