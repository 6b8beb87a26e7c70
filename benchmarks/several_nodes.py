"""A tiny sweep on one Ray node, on three, with two workers for each step, and on a cluster that starts with none.

All nodes are on this machine: they have raylets, resources and processes of their own, but share its cores and its
disk, so the table is about results, not about speed. The last part needs port 6379 free.

usage: python -m benchmarks.several_nodes WORK [PART ...]    (parts: three, two-workers, zero; all if none is given)
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
from ray.cluster_utils import Cluster

from benchmarks.tiny import TinySweep, end, make_inputs

LANGUAGES = ("--langs", "sw,yo")
GROWING = ("--set", "execution.autoscaling=true", "--gpus-per-worker", "0", "--max-parallel", "3")
PARTS = ("three", "two-workers", "zero")
SECONDS = 900.0
STORE_BYTES = 150_000_000
WORKER_CPUS = 1
FROM_ZERO_PORT = 6379
"""The only one that Ray's fake nodes join."""


def main(work: Path, parts: tuple[str, ...]) -> None:
    """Carry out the sweeps and print what came of each, compared with that on one node."""
    os.environ["RAY_AUTH_MODE"] = "disabled"
    inputs = make_inputs(work / "inputs")
    one = TinySweep(work / "one", inputs, LANGUAGES)
    print("| cluster | steps | records and SFTs equal to one node's | largest difference of losses | seconds |")
    print("| --- | --: | --- | --: | --: |")
    report("one node", one, one)
    if "three" in parts:
        with several_nodes(3) as address:
            report("three nodes", TinySweep(work / "three", inputs, (*LANGUAGES, "--address", address)), one)
    if "two-workers" in parts:
        with several_nodes(3) as address:
            two = TinySweep(work / "two", inputs, ("--workers", "2", "--address", address))
            report("three nodes, two workers each, sw", two, one)
    if "zero" in parts:
        with from_zero(work) as address:
            zero = TinySweep(work / "zero", inputs, ("--address", address, *GROWING))
            report("none at first, up to three, sw", zero, one)


def report(name: str, tiny: TinySweep, reference: TinySweep) -> None:
    """Carry out a sweep, unless it was before, and print a line of the table."""
    began = time.monotonic()
    code, words = end(tiny.start("--yes"), SECONDS)
    if code:
        raise SystemExit(f"{name}: the sweep ended with {code}: {words[-2000:]}")
    seconds = time.monotonic() - began
    found, expected = tiny.outcome(), reference.outcome()
    equal = sum(found[key] == expected[key] for key in found)
    print(
        f"| {name} | {len(tiny.finished())} | {equal} of {len(found)} | {loss_difference(tiny, reference):.1e} "
        f"| {seconds:.0f} |",
        flush=True,
    )


def loss_difference(tiny: TinySweep, reference: TinySweep) -> float:
    """Give the largest relative difference between the phase-1 losses of two runs, over all logged steps."""
    largest = 0.0
    for file in tiny.storage.glob("steps/distil-*/metrics.jsonl"):
        there, here = (losses(place) for place in (reference.storage / "steps" / file.parent.name / file.name, file))
        assert here.keys() == there.keys(), f"{file} has other steps than the reference"
        largest = max([largest, *(abs(here[step] / there[step] - 1) for step in here)])
    return largest


def losses(file: Path) -> dict[int, float]:
    """Give the losses in a step's metrics, by its number of optimiser steps."""
    lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    return {line["step"]: line["loss"] for line in lines if "loss" in line}


@contextmanager
def several_nodes(count: int) -> Iterator[str]:
    """Start a head without CPUs and ``count`` nodes of one CPU each; give the head's address."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    head = {"num_cpus": 0, "include_dashboard": True, "dashboard_port": port, "object_store_memory": STORE_BYTES}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    try:
        for _ in range(count):
            cluster.add_node(num_cpus=WORKER_CPUS, object_store_memory=STORE_BYTES)
        yield cluster.address
    finally:
        cluster.shutdown()


@contextmanager
def from_zero(work: Path) -> Iterator[str]:
    """Start a head without CPUs and Ray's autoscaler, whose nodes are processes of this machine; give its address."""
    worker = {"CPU": WORKER_CPUS, "object_store_memory": STORE_BYTES}
    config = {
        "cluster_name": "from-zero",
        "max_workers": 3,
        "idle_timeout_minutes": 1,
        "upscaling_speed": 100,
        "provider": {
            "type": "fake_multinode",
            "disable_node_updaters": True,
            "disable_launch_config_check": True,
            "foreground_node_launch": True,
        },
        "available_node_types": {
            "ray.head.default": {"resources": {"CPU": 0}, "node_config": {}, "min_workers": 0, "max_workers": 0},
            "worker": {"resources": worker, "node_config": {}, "min_workers": 0, "max_workers": 3},
        },
        "head_node_type": "ray.head.default",
        "file_mounts_sync_continuously": False,
        **dict.fromkeys(("auth", "docker", "file_mounts"), {}),
        **dict.fromkeys(("cluster_synced_files", "rsync_exclude", "rsync_filter", "initialization_commands"), []),
        **dict.fromkeys(("setup_commands", "head_setup_commands", "worker_setup_commands"), []),
        **dict.fromkeys(("head_start_ray_commands", "worker_start_ray_commands"), []),
    }
    file = work / "from-zero.json"
    file.write_text(json.dumps(config), encoding="utf-8")
    command = [str(Path(sys.executable).with_name("ray")), "start", "--head", "--block", f"--port={FROM_ZERO_PORT}"]
    command += [
        "--num-cpus=0",
        f"--autoscaling-config={file}",
        f"--object-store-memory={STORE_BYTES}",
    ]
    with open(work / "from-zero.log", "w", encoding="utf-8") as log:
        head = subprocess.Popen(
            command, env=os.environ | {"RAY_FAKE_CLUSTER": "1"}, stdout=log, stderr=log, start_new_session=True
        )
    address = f"127.0.0.1:{FROM_ZERO_PORT}"
    try:
        wait_for_head(work / "from-zero.log", head)
        yield address
    finally:
        ended = [*psutil.Process(head.pid).children(recursive=True), psutil.Process(head.pid)]
        for process in ended:
            process.terminate()
        for process in psutil.wait_procs(ended, timeout=20)[1]:
            process.kill()


def wait_for_head(log: Path, head: subprocess.Popen[bytes]) -> None:
    """Wait until the head says that it can be joined."""
    while "Ray runtime started" not in log.read_text(encoding="utf-8"):
        if head.poll() is not None:
            raise SystemExit(f"the head did not start: see {log}")
        time.sleep(0.5)


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute(), tuple(sys.argv[2:]) or PARTS)
