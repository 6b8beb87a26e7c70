"""The sample sweep on one Ray node, on three, with two workers for each step, and on a cluster that starts with none.

All nodes are on this machine: they have raylets, resources and processes of their own, but share its cores and its
disk, so the table is about results, not about speed. The last part needs port 6379 free.

usage: RAY_AUTH_MODE=disabled python benchmarks/several_nodes.py WORK    (about 30 minutes on two CPU cores)
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil
import ray
from ray.cluster_utils import Cluster

from bistil_ray.results.records import read_records

SMALL = (
    "--densities 0.08 --set distil.steps=40 --set distil.evaluations=2 --set teach.epochs=0.1 "
    "--set finetune.dense_epochs=0.05 --set finetune.sparse_epochs=0.1"
).split()
MEASURED = {"latency_ms", "seconds", "time", "model_dir"}
"""What differs between two runs of the same."""
STORE_BYTES = 150_000_000
WORKER_CPUS = 1
FROM_ZERO_PORT = 6379
"""The only one that Ray's fake nodes join."""


def main(work: Path) -> None:
    """Carry out the four sweeps and print what came of each, compared with the first."""
    few = ["--langs", "sw", *SMALL]
    whole = ["--langs", "sw,yo,ha", *SMALL]
    print("| cluster | steps | records | records equal to one node's | largest difference of losses | minutes |")
    print("| --- | --: | --: | --- | --: | --: |")
    one = work / "one"
    report("one node", one, one, sweep(one, whole))
    with several_nodes(3) as address:
        at = ["--address", address]
        three = work / "three"
        report("three nodes", three, one, sweep(three, [*whole, *at]))
        two = work / "two-workers"
        report("three nodes, two workers, sw", two, one, sweep(two, [*few, *at, "--workers", "2"]))
    with from_zero(work) as address:
        grow = ["--set", "execution.autoscaling=true", "--gpus-per-worker", "0", "--max-parallel", "3"]
        zero = work / "zero"
        report("none at first, up to three", zero, one, sweep(zero, [*whole, "--address", address, *grow]))


def sweep(storage: Path, flags: Sequence[str]) -> float:
    """Carry out a sweep as a user would; give its seconds."""
    began = time.monotonic()
    command = [sys.executable, "-m", "bistil_ray.cli", "sweep", "--storage", str(storage), "--name", "run", "--yes"]
    with open(f"{storage}.log", "w", encoding="utf-8") as log:
        ended = subprocess.run([*command, *flags], stdout=log, stderr=subprocess.STDOUT, check=False)
    if ended.returncode:
        raise SystemExit(f"the sweep ended with {ended.returncode}: see {storage}.log")
    return time.monotonic() - began


def report(name: str, storage: Path, reference: Path, seconds: float) -> None:
    """Print a line of the table."""
    found, expected = (records(place) for place in (storage, reference))
    equal = sum(found[key] == expected[key] for key in found)
    steps = len(list(storage.glob("steps/*/DONE")))
    print(
        f"| {name} | {steps} | {len(found)} | {equal} of {len(found)} | {loss_difference(storage, reference):.1e} "
        f"| {seconds / 60:.1f} |",
        flush=True,
    )


def records(storage: Path) -> Mapping[str, object]:
    """Give the records of a run by step, without what is measured anew each time."""
    return {record.step: record.model_dump(exclude=MEASURED) for record in read_records(storage / "run")}


def loss_difference(storage: Path, reference: Path) -> float:
    """Give the largest relative difference between the phase-1 losses of two storages, over all logged steps."""
    largest = 0.0
    for file in storage.glob("steps/distil-*/metrics.jsonl"):
        there, here = (losses(place) for place in (reference / "steps" / file.parent.name / file.name, file))
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
        wait_for_head(address, head)
        yield address
    finally:
        ended = [*psutil.Process(head.pid).children(recursive=True), psutil.Process(head.pid)]
        for process in ended:
            process.terminate()
        for process in psutil.wait_procs(ended, timeout=20)[1]:
            process.kill()


def wait_for_head(address: str, head: subprocess.Popen[bytes]) -> None:
    """Wait until the head can be joined."""
    while head.poll() is None:
        try:
            ray.init(address=address, log_to_driver=False, logging_level="ERROR")
        except ConnectionError:
            continue
        ray.shutdown()
        return
    raise SystemExit("the head did not start: see from-zero.log")


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute())
