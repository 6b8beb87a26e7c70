"""What faults cost a sweep: ``python -m benchmarks.faults WORK [--only NAME] [--kills N] [--json]``.

Each scenario carries out the same tiny sweep, does something bad to it (``scenarios.py``, ``lost_nodes.py``,
``slow_storage.py``) and compares its end with that of an undisturbed one. Disks that are full or stand still need the
right to mount them.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from signal import SIGKILL, SIGTERM
from typing import Any

from rich.console import Console
from rich.table import Table

from bistil_ray.storage import write_json

from ..tiny import TinySweep, end, make_inputs
from .lost_nodes import node_drained, node_lost
from .scenarios import (
    RARELY,
    TRAIN,
    TRIAL,
    WORKER,
    Bench,
    Row,
    checkpoint_truncated,
    disk_full,
    killed_at_random,
    process_killed,
    shard_unreadable,
    sweep_ended,
)
from .slow_storage import bucket_away, bucket_slow, disk_stands_still

SCENARIOS: dict[str, Callable[[Bench], Row | list[Row]]] = {
    "pack": lambda bench: process_killed(bench, "worker killed in pack", "pack", WORKER, SIGKILL, *TRAIN),
    "phase1": lambda bench: process_killed(bench, "worker killed in phase 1", "distil", WORKER, SIGKILL, *TRAIN),
    "phase2": lambda bench: process_killed(bench, "worker killed in phase 2", "finetune", WORKER, SIGKILL, *TRAIN),
    "driver": lambda bench: process_killed(bench, "trial driver killed", "distil", TRIAL, SIGKILL, *TRAIN),
    "trial": lambda bench: process_killed(bench, "trial's process killed", "distil", TRIAL, SIGKILL),
    "notice": lambda bench: process_killed(bench, "SIGTERM to a trial's process", "distil", TRIAL, SIGTERM),
    "sigterm": lambda bench: sweep_ended(bench, "SIGTERM to the sweep", *RARELY),
    "sigterm-train": lambda bench: sweep_ended(bench, "SIGTERM to the sweep, Ray Train", *RARELY, *TRAIN),
    "reclaim": lambda bench: sweep_ended(bench, "SIGTERM to sweep and trial", to_all=True),
    "killed": killed_at_random,
    "truncated": checkpoint_truncated,
    "unreadable": shard_unreadable,
    "full": disk_full,
    "nodes": node_lost,
    "drained": node_drained,
    "still": disk_stands_still,
    "slow": bucket_slow,
    "away": bucket_away,
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
        new = found if isinstance(found, list) else [found]
        for row in new:
            print(json.dumps(asdict(row)), file=sys.stderr, flush=True)
        rows += new
    if args.json:
        print(json.dumps([asdict(row) for row in rows]))
        return
    table = Table("fault", "what was lost", "news after, s", "same end")
    for row in rows:
        table.add_row(row.fault, row.lost, f"{row.news_after:.1f}", "yes" if row.same else "NO")
    Console().print(table)


if __name__ == "__main__":
    main()
