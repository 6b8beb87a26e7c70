"""Ray clusters of several nodes on this machine: ones of a fixed size, and one that starts with no worker and grows."""

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

STARTS = 4
"""Attempts to start a head."""
STORE_BYTES = 150_000_000
WORKER_CPUS = 1
FROM_ZERO_PORT = 6379
"""The only one that Ray's fake nodes join."""


@contextmanager
def local_cluster(cpus: int) -> Iterator[Cluster]:
    """Start a head with so many CPUs, to which nodes can be added; RuntimeError where it does not come up."""
    cluster = Cluster()
    try:
        for left in reversed(range(STARTS)):
            try:
                add_node(cluster, cpus, include_dashboard=True, dashboard_port=_free_port())
                break
            except RuntimeError:
                cluster.shutdown()
                if not left:
                    raise
        yield cluster
    finally:
        cluster.shutdown()


def add_node(cluster: Cluster, cpus: int, **more: object) -> object:
    """Add a node and give it; RuntimeError where it is not there in the 30 seconds that Ray allows."""
    try:
        return cluster.add_node(num_cpus=cpus, object_store_memory=STORE_BYTES, **more)
    except Exception as problem:  # Ray raises the bare class
        first = str(problem).splitlines()[0]
        raise RuntimeError(f"a node of Ray did not start: {first}") from problem


@contextmanager
def several_nodes(count: int) -> Iterator[str]:
    """Start a head without CPUs and ``count`` nodes; give the head's address."""
    with local_cluster(0) as cluster:
        for _ in range(count):
            add_node(cluster, WORKER_CPUS)
        yield cluster.address


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


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])
