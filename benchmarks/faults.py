"""What faults cost a sweep: ``python -m benchmarks.faults WORK [--only NAME] [--kills N] [--json]``.

Each scenario carries out the same tiny sweep, does something bad to it at a moment that is told from the files it
writes, lets it recover (by itself, or by the same command again), and compares records and SFTs with those of the
undisturbed run. Work that was done again is counted in optimiser steps, from the figures that steps report. Full disks
need the right to mount a tmpfs.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.mishaps import cut_in_half, fill, kill, process_of, small_disk
from benchmarks.tiny import TinySweep, end, make_inputs, wait_for_file, wait_until
from bistil_ray.distributed.launch import START_TIMEOUT
from bistil_ray.storage import write_json

TRIAL, WORKER = "ray::ImplicitFunc", "ray::RayTrainWorker"
TRAIN = ("--set", "execution.launcher=train")
NO_ROOM_SECONDS = "45"
"""How long Ray Train waits for workers here, three times."""


Sweep = subprocess.Popen[str]


@dataclass(frozen=True)
class Row:
    """What came of a fault: the work done again and what was seen, seconds until there was news, the end's equality."""

    fault: str
    lost: str
    recovered_after: float
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


def process_killed(bench: Bench, fault: str, kind: str, title: str, number: int, *more: str) -> Row:
    """Send a signal to the process that carries out the step of a kind; Ray starts another."""
    tiny = bench.sweep(fault.replace(" ", "-"), *more)
    sweep = tiny.start()
    wait_until(lambda: tiny.folder(kind) and process_of(sweep, title), sweep)
    if kind != "pack":
        wait_until(lambda: any(tiny.folder(kind).rglob("checkpoints/**/step-*")), sweep)  # type: ignore[union-attr]
    before, events = tiny.finished(), tiny.events()
    process_of(sweep, title).send_signal(number)  # type: ignore[union-attr]
    seconds = wait_until(lambda: tiny.events() > events + 1, sweep)
    return bench.row(fault, tiny, seconds, before, sweep)


def sweep_ended(bench: Bench, fault: str, to_all: bool) -> Row:
    """Send SIGTERM to the command, or to every process of the machine's sweep at once, and run it again."""
    tiny = bench.sweep(fault.replace(" ", "-"))
    sweep = tiny.start()
    wait_until(lambda: len(tiny.lines("distil")) > 3, sweep)
    before = tiny.finished()
    below = [process_of(sweep, title) for title in (TRIAL,)] if to_all else []
    sweep.terminate()
    for process in below:
        if process is not None:
            process.terminate()
    began = time.monotonic()
    code, _ = end(sweep)
    ended = time.monotonic() - began
    events = tiny.events()
    again = tiny.start()
    seconds = wait_until(lambda: tiny.events() > events, again)
    return bench.row(fault, tiny, seconds, before, again, f"ended with code {code} in {ended:.1f} s")


def killed_at_random(bench: Bench) -> Row:
    """Kill the whole sweep without warning at seeded moments, each so many events after it was started again."""
    moments, taken, round_, seconds, same, twice = random.Random(0), 0, 0, 0.0, True, 0
    redone = 0
    while taken < bench.kills:
        tiny = bench.sweep(f"killed-{round_}")
        round_ += 1
        while True:
            start, stop = tiny.events(), moments.randint(1, 12)
            before, began = tiny.finished(), time.monotonic()
            sweep = tiny.start()
            wait_until(lambda: tiny.events() > start or sweep.poll() is not None)  # noqa: B023
            seconds += time.monotonic() - began
            wait_until(lambda: tiny.events() >= start + stop or sweep.poll() is not None)  # noqa: B023
            redone += sum(tiny.finished().get(path) != made for path, made in before.items())
            if sweep.poll() is not None or taken == bench.kills:
                break
            kill(sweep)
            taken += 1
        end(sweep)
        same, twice = same and tiny.outcome() == bench.expected, twice + tiny.done_twice()
    lost = f"{twice} optimiser steps, {redone} finished steps, in {taken} kills of {round_} sweep(s)"
    return Row(f"whole sweep killed {taken} times", lost, round(seconds / max(1, taken), 1), same)


def checkpoint_truncated(bench: Bench) -> Row:
    """Kill the sweep in phase 1, cut the newest checkpoint in half, and run it again."""
    tiny = bench.sweep("truncated")
    sweep = tiny.start()
    wait_until(lambda: len(list(tiny.storage.glob("steps/distil-*/checkpoints/step-*"))) > 1, sweep)
    kill(sweep)
    newest = max(tiny.storage.glob("steps/distil-*/checkpoints/step-*/state.safetensors"))
    cut_in_half(newest)
    before, events = tiny.finished(), tiny.events()
    again = tiny.start()
    seconds = wait_until(lambda: tiny.events() > events, again)
    log = next(tiny.storage.glob("steps/distil-*/log.txt")).read_text()
    told = "the log names the damaged one" if "cannot be used" in log else "NOT SAID in the log"
    return bench.row("checkpoint truncated", tiny, seconds, before, again, told)


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
    before, events = tiny.finished(), tiny.events()
    again = tiny.start()
    seconds = wait_until(lambda: tiny.events() > events, again)
    told = f"code {code}, file {'named' if file.name in words else 'NOT NAMED: ' + words[-300:]}"
    return bench.row("shard unreadable", tiny, seconds, before, again, told)


def disk_full(bench: Bench) -> Row:
    """Fill the disk when phase 1 writes its checkpoints; make room after the failure, and run the sweep again."""
    with small_disk(bench.work / "full") as disk:
        tiny = bench.sweep("full")
        sweep = tiny.start()
        wait_for_file(tiny, "steps/distil-*/checkpoints/step-*", sweep)
        filler = disk / "filler"
        fill(filler)
        code, words = end(sweep)
        looks_done = [path for path in tiny.finished() if not (path.parent / "result.json").stat().st_size]
        filler.unlink()
        before, events = tiny.finished(), tiny.events()
        again = tiny.start()
        seconds = wait_until(lambda: tiny.events() > events, again)
        told = (words.strip().splitlines() or ["nothing said"])[-1]
        seen = f"code {code}: {told[:200]}; {len(looks_done)} half done"
        return bench.row("disk full", tiny, seconds, before, again, seen)


def node_lost(bench: Bench) -> list[Row]:
    """Take away the node that trains and bring another; then take that away too, and bring one after the failure."""
    import ray
    from ray.cluster_utils import Cluster

    os.environ[START_TIMEOUT] = NO_ROOM_SECONDS
    head = {"num_cpus": 1, "include_dashboard": True, "dashboard_port": 0}
    cluster = Cluster(initialize_head=True, connect=True, head_node_args=head)
    node = cluster.add_node(num_cpus=2)
    # Half of the head's only CPU is taken, so that it has room for drivers but for no worker.
    half = ray.remote(num_cpus=0.5, resources={"node:__internal_head__": 0.001})(_Placeholder).remote()
    ray.get(half.__ray_ready__.remote())
    tiny = bench.sweep("nodes", *TRAIN, "--max-parallel", "1", "--address", cluster.address)
    try:
        sweep = tiny.start()
        wait_for_file(tiny, "steps/distil-*/checkpoints/step-*", sweep)
        events = tiny.events()
        cluster.remove_node(node, allow_graceful=False)
        node = cluster.add_node(num_cpus=2)
        replaced_after = wait_until(lambda: tiny.events() > events + 1, sweep)
        wait_for_file(tiny, "steps/finetune-*/checkpoints/dense/step-*", sweep)
        done_twice = tiny.done_twice()
        began = time.monotonic()
        cluster.remove_node(node, allow_graceful=False)
        code, words = end(sweep)
        gave_up = time.monotonic() - began
        before, events = tiny.finished(), tiny.events()
        cluster.add_node(num_cpus=2)
        again = tiny.start()
        seconds = wait_until(lambda: tiny.events() > events, again)
        told = f"gave up after {gave_up:.0f} s, code {code}: {(words.strip().splitlines() or [''])[-1][:200]}"
        second = bench.row("node removed, none comes", tiny, seconds, before, again, told)
        first = Row("node removed, replaced", f"{done_twice} optimiser steps", round(replaced_after, 1), second.same)
        return [first, second]
    finally:
        ray.shutdown()
        cluster.shutdown()


class _Placeholder:
    """Takes room on a node."""


SCENARIOS: dict[str, Callable[[Bench], Row | list[Row]]] = {
    "pack": lambda bench: process_killed(bench, "worker killed in pack", "pack", WORKER, signal.SIGKILL, *TRAIN),
    "phase1": lambda bench: process_killed(bench, "worker killed in phase 1", "distil", WORKER, signal.SIGKILL, *TRAIN),
    "phase2": lambda bench: process_killed(
        bench, "worker killed in phase 2", "finetune", WORKER, signal.SIGKILL, *TRAIN
    ),
    "driver": lambda bench: process_killed(bench, "trial driver killed", "distil", TRIAL, signal.SIGKILL, *TRAIN),
    "trial": lambda bench: process_killed(bench, "trial's process killed", "distil", TRIAL, signal.SIGKILL),
    "notice": lambda bench: process_killed(bench, "SIGTERM to a trial's process", "distil", TRIAL, signal.SIGTERM),
    "sigterm": lambda bench: sweep_ended(bench, "SIGTERM to the sweep", to_all=False),
    "reclaim": lambda bench: sweep_ended(bench, "SIGTERM to sweep and trial", to_all=True),
    "killed": killed_at_random,
    "truncated": checkpoint_truncated,
    "unreadable": shard_unreadable,
    "full": disk_full,
    "nodes": node_lost,
}


def undisturbed(work: Path, inputs: Path) -> dict[str, Any]:
    """Give what the sweep comes to without any fault, carried out once for all calls with the same ``work``."""
    kept = work / "undisturbed.json"
    if not kept.exists():
        tiny = TinySweep(work / "undisturbed", inputs)
        code, words = end(tiny.start())
        if code:
            raise SystemExit(f"the undisturbed sweep failed: {words}")
        write_json(kept, tiny.outcome())
    found: dict[str, Any] = json.loads(kept.read_text(encoding="utf-8"))
    return found


def main() -> None:
    """Run the scenarios and print what came of them."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults", description=__doc__)
    parser.add_argument("work", type=Path, help="folder for runs; what an earlier call left of a scenario is removed")
    parser.add_argument("--only", action="append", choices=SCENARIOS, help="a scenario; may be given several times")
    parser.add_argument("--kills", type=int, default=20, help="how often the whole sweep is killed")
    parser.add_argument("--json", action="store_true", help="print data instead of a table")
    args = parser.parse_args()
    os.environ["RAY_AUTH_MODE"] = "disabled"
    work = args.work.absolute()
    inputs = make_inputs(work / "inputs")
    bench = Bench(work / "runs", inputs, undisturbed(work, inputs), args.kills)
    rows: list[Row] = []
    for name in args.only or SCENARIOS:
        own = replace(bench, work=bench.work / name)
        shutil.rmtree(own.work, ignore_errors=True)
        try:
            found = SCENARIOS[name](own)
        except (RuntimeError, subprocess.SubprocessError, OSError) as problem:
            found = Row(name, f"scenario not completed: {problem}", 0.0, False)
        rows += found if isinstance(found, list) else [found]
        print(json.dumps(asdict(rows[-1])), file=sys.stderr, flush=True)  # noqa: T201
    if args.json:
        print(json.dumps([asdict(row) for row in rows]))  # noqa: T201
        return
    table = Table("fault", "what was lost", "news after, s", "same end")
    for row in rows:
        table.add_row(row.fault, row.lost, f"{row.recovered_after:.1f}", "yes" if row.same else "NO")
    Console().print(table)


if __name__ == "__main__":
    main()
