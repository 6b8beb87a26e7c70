"""Does anything pile up? ``python -m benchmarks.soak WORK --times 20``: a tiny sweep many times on one Ray cluster.

Each sweep has a storage of its own. Before the first and after each of them this process and those of Ray are looked
at; the last line of the table is the growth per sweep, by least squares over all but the first, which warms things up.
"""

from __future__ import annotations

import argparse
import gc
import io
import json
import os
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import psutil
from rich.console import Console
from rich.table import Table

from bistil_ray.config_sources import load_config
from bistil_ray.inputs import gather_facts
from bistil_ray.planning.plan import make_plan

from .tiny import NAME, SETTINGS, TinySweep, make_inputs

SETTLED = 5.0
"""Seconds that Ray is given after a sweep to end the processes that it no longer needs."""
SERVICES = ("gcs_server", "raylet", "DashboardAgent", "RuntimeEnvAgent", "monitor", "dashboard")
"""Processes of Ray that are there as long as it is, by what their titles hold; the others carry out work."""
WORKERS = "workers"


@dataclass(frozen=True)
class Held:
    """What is held at one moment: memory in MB, and numbers of things."""

    driver_mb: float
    workers_mb: float
    services_mb: float
    processes: int
    driver_files: int
    session_files: int
    placement_groups: int
    actors: int


def look() -> Held:
    """Look at this process, the processes of Ray below it, and what Ray knows of."""
    import ray
    from ray.util import placement_group_table
    from ray.util.state import list_actors

    gc.collect()
    me = psutil.Process()
    below = memory_by_part(me.children(recursive=True))
    session = Path(ray._private.worker.global_worker.node.get_session_dir_path())
    groups = [group for group in placement_group_table().values() if group["state"] != "REMOVED"]
    return Held(
        driver_mb=round(me.memory_full_info().uss / 1e6, 1),
        workers_mb=round(sum(below.get(WORKERS, ())), 1),
        services_mb=round(sum(sum(held) for part, held in below.items() if part != WORKERS), 1),
        processes=sum(map(len, below.values())),
        driver_files=me.num_fds(),
        session_files=sum(len(files) for _, _, files in os.walk(session)),
        placement_groups=len(groups),
        # By default it asks any cluster that it finds on this machine.
        actors=len(list_actors(ray.get_runtime_context().gcs_address, [("state", "=", "ALIVE")], limit=10_000)),
    )


def memory_by_part(processes: Sequence[psutil.Process]) -> dict[str, list[float]]:
    """Give the MB that processes of Ray share with nobody, by the part of Ray that each is."""
    parts: dict[str, list[float]] = {}
    for process in processes:
        try:
            title, held = " ".join(process.cmdline()[:3]), process.memory_full_info().uss / 1e6
        except psutil.Error:
            continue  # it has ended
        parts.setdefault(next((part for part in SERVICES if part in title), WORKERS), []).append(held)
    return parts


def sweep(tiny: TinySweep) -> None:
    """Carry out the sweep in this process, on the cluster that it is part of."""
    from bistil_ray.distributed.progress import Board
    from bistil_ray.distributed.sweep import run_sweep

    config = load_config("sample", SETTINGS, tiny.flags())
    plan = make_plan(config, gather_facts(config))
    outcome = run_sweep(config, plan, tiny.storage / NAME, Board(Console(), quiet=True))
    if outcome.failed:
        raise SystemExit(f"the sweep failed: {outcome.failed}")


def growth(seen: list[Held]) -> dict[str, float]:
    """Give by how much each figure grows with a sweep, the first one left out."""
    rows = [list(asdict(held).values()) for held in seen[2:]]
    if len(rows) < 2:
        return {}
    slopes = np.polyfit(np.arange(len(rows)), np.array(rows, dtype=float), 1)[0]
    return {name: round(float(slope), 2) for name, slope in zip(asdict(seen[0]), slopes, strict=True)}


def main() -> None:
    """Carry out the sweeps and print what was held after each."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("work", type=Path, help="folder for runs, which are removed again")
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--json", action="store_true", help="print data instead of a table")
    args = parser.parse_args()

    from bistil_ray.distributed.launch import quiet

    quiet()
    import ray

    work = args.work.absolute()
    inputs = make_inputs(work / "inputs")
    ray.init(address="local", num_cpus=2, log_to_driver=False, logging_level="ERROR", include_dashboard=True)
    me, seen, seconds = psutil.Process(), [look()], [0.0]
    for number in range(args.times):
        tiny = TinySweep(work / f"soak-{number}", inputs)
        began = time.monotonic()
        sweep(tiny)
        seconds.append(round(time.monotonic() - began, 1))
        shutil.rmtree(tiny.storage)
        time.sleep(SETTLED)
        seen.append(look())
        parts = {part: round(sum(held), 1) for part, held in memory_by_part(me.children(recursive=True)).items()}
        print(json.dumps({"sweep": number + 1, "seconds": seconds[-1], **asdict(seen[-1]), **parts}), flush=True)
    ray.shutdown()
    _show(seen, seconds, args.json)


def _show(seen: list[Held], seconds: list[float], as_json: bool) -> None:
    slopes = growth(seen)
    if as_json:
        print(json.dumps({"seen": [asdict(held) for held in seen], "growth": slopes}))
        return
    table = Table("after sweep", "seconds", *asdict(seen[0]))
    for number, (held, took) in enumerate(zip(seen, seconds, strict=True)):
        table.add_row(str(number), f"{took:g}", *(f"{value:g}" for value in asdict(held).values()))
    table.add_row("growth", "", *(f"{slopes.get(name, float('nan')):g}" for name in asdict(seen[0])))
    written = io.StringIO()
    Console(file=written, width=140).print(table)
    print(written.getvalue())


if __name__ == "__main__":
    main()
