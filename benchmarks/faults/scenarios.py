"""Bad things done to a tiny sweep at moments that are told from the files it writes, and what comes of them.

A scenario lets the sweep recover, by itself or by the same command again, and compares records and SFTs with those of
the undisturbed run. Work that was done again is counted in optimiser steps, from the figures that steps report.
"""

from __future__ import annotations

import random
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..tiny import TinySweep, end, wait_for_file, wait_until
from .mishaps import cut_in_half, fill, kill, process_of, small_disk

TRIAL, WORKER = "ray::ImplicitFunc", "ray::RayTrainWorker"
TRAIN = ("--set", "execution.launcher=train")
ONE_BY_ONE = ("--max-parallel", "1")
"""So that there is one process of a kind, and it is at the step that is meant."""
RARELY = ("--set", "distil.checkpoint_minutes=60")
"""So that a checkpoint is there only because something made phase 1 save."""
Sweep = subprocess.Popen[str]


@dataclass(frozen=True)
class Row:
    """What came of a fault: the work done again and what was seen, seconds until there was news, the end's equality."""

    fault: str
    lost: str
    news_after: float
    same: bool


@dataclass(frozen=True)
class Bench:
    """Where scenarios run, and what the undisturbed run came to."""

    work: Path
    inputs: Path
    expected: dict[str, Any]
    kills: int

    def sweep(self, name: str, *more: str) -> TinySweep:
        """Give a fresh run of its own storage."""
        return TinySweep(self.work / name, self.inputs, more)

    def row(
        self, fault: str, tiny: TinySweep, seconds: float, before: dict[Path, int], last: Sweep, seen: str = ""
    ) -> Row:
        """Wait for the ``last`` sweep and compare how it ended; ``before``: what was finished when the fault came."""
        code, words = end(last)
        redone = sum(tiny.finished().get(path) != made for path, made in before.items())
        notes = [f"{tiny.done_twice()} optimiser steps, {redone} finished steps", seen, words[-300:] if code else ""]
        lost = "; ".join(note for note in notes if note)
        return Row(fault, lost, round(seconds, 1), tiny.outcome() == self.expected)

    def row_after_rerun(self, fault: str, tiny: TinySweep, seen: str) -> Row:
        """Give the same command again; the time is that until there is news from it."""
        before, events = tiny.finished(), tiny.events()
        again = tiny.start()
        seconds = wait_until(lambda: tiny.events() > events, again)
        return self.row(fault, tiny, seconds, before, again, seen)


def process_killed(bench: Bench, fault: str, kind: str, title: str, number: int, *more: str) -> Row:
    """Send a signal to the process that carries out the step of a kind; Ray starts another."""
    tiny = bench.sweep("killed", *ONE_BY_ONE, *more)
    sweep = tiny.start()
    wait_until(lambda: tiny.folder(kind) and process_of(sweep, title), sweep)
    if kind != "pack":
        wait_for_file(tiny, f"steps/{kind}-*/checkpoints/**/step-*", sweep)
    before, events = tiny.finished(), tiny.events()
    process = process_of(sweep, title)
    if process is None:
        raise RuntimeError(f"there is no process {title} any more")
    process.send_signal(number)
    process.wait(timeout=60)
    seconds = wait_until(lambda: tiny.events() > events + 1, sweep)
    return bench.row(fault, tiny, seconds, before, sweep)


def sweep_ended(bench: Bench, fault: str, *more: str, to_all: bool = False) -> Row:
    """Send SIGTERM to the command, or to it and its trial at once as a reclaimed machine does, and run it again."""
    tiny = bench.sweep("ended", *ONE_BY_ONE, *more)
    sweep = tiny.start()
    wait_until(lambda: len(tiny.lines("distil")) > 3, sweep)
    trial = process_of(sweep, TRIAL)
    sweep.terminate()
    if to_all and trial is not None:
        trial.terminate()
    began = time.monotonic()
    code, _ = end(sweep)
    ended = time.monotonic() - began
    return bench.row_after_rerun(fault, tiny, f"ended with code {code} in {ended:.1f} s")


def killed_at_random(bench: Bench) -> Row:
    """Kill the whole sweep without warning at seeded moments, each so many events after it was started again."""
    moments, taken, sweeps, redone, twice = random.Random(0), 0, 0, 0, 0
    seconds, same = 0.0, True
    while taken < bench.kills:
        tiny = bench.sweep(f"killed-{sweeps}")
        sweeps += 1
        before: dict[Path, int] = {}
        while True:
            start, stop, began = tiny.events(), moments.randint(1, 40), time.monotonic()
            sweep = tiny.start()
            wait_until(lambda: tiny.events() > start or sweep.poll() is not None)  # noqa: B023
            seconds += time.monotonic() - began
            if taken == bench.kills:
                break
            wait_until(lambda: tiny.events() >= start + stop or sweep.poll() is not None)  # noqa: B023
            if sweep.poll() is not None:
                break
            kill(sweep)
            taken += 1
            before = tiny.finished() | before
        end(sweep)
        redone += sum(tiny.finished().get(path) != made for path, made in before.items())
        same, twice = same and tiny.outcome() == bench.expected, twice + tiny.done_twice()
    lost = f"{twice} optimiser steps, {redone} finished steps, in {taken} kills of {sweeps} sweep(s)"
    return Row(f"whole sweep killed {taken} times", lost, round(seconds / (taken + sweeps), 1), same)


def checkpoint_truncated(bench: Bench) -> Row:
    """Kill the sweep in phase 1, cut the newest checkpoint in half, and run it again."""
    tiny = bench.sweep("truncated")
    sweep = tiny.start()
    wait_until(lambda: len(list(tiny.storage.glob("steps/distil-*/checkpoints/step-*"))) > 1, sweep)
    kill(sweep)
    cut_in_half(max(tiny.storage.glob("steps/distil-*/checkpoints/step-*/state.safetensors")))
    row = bench.row_after_rerun("checkpoint truncated", tiny, "")
    log = next(tiny.storage.glob("steps/distil-*/log.txt")).read_text()
    told = "the log names the damaged one" if "cannot be used" in log else "NOT SAID in the log"
    return Row(row.fault, f"{row.lost}; {told}", row.news_after, row.same)


def shard_unreadable(bench: Bench) -> Row:
    """Damage a file of blocks between two steps; mend it after the failure, and run the sweep again."""
    tiny = bench.sweep("unreadable")
    sweep = tiny.start()
    shard = wait_for_file(tiny, "steps/pack-*/DONE", sweep).parent / "blocks" / "sw"
    file = sorted(shard.glob("*.parquet"))[0]
    content = file.read_bytes()
    cut_in_half(file)
    code, words = end(sweep)
    file.write_bytes(content)
    told = f"code {code}, file {'named' if file.name in words else 'NOT NAMED: ' + words[-300:]}"
    return bench.row_after_rerun("shard unreadable", tiny, told)


def disk_full(bench: Bench) -> Row:
    """Fill the disk when phase 1 writes its checkpoints; make room after the failure, and run the sweep again."""
    with small_disk(bench.work) as disk:
        tiny = bench.sweep("full")
        sweep = tiny.start()
        wait_for_file(tiny, "steps/distil-*/checkpoints/step-*", sweep)
        filler = disk / "filler"
        fill(filler)
        code, words = end(sweep)
        half_done = sum(not (path.parent / "result.json").stat().st_size for path in tiny.finished())
        filler.unlink()
        told = (words.strip().splitlines() or ["nothing said"])[-1]
        return bench.row_after_rerun("disk full", tiny, f"code {code}: {told[:200]}; {half_done} half done")
