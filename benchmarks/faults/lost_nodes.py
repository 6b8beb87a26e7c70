"""A sweep whose nodes go away, on several Ray nodes of this machine."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ray
from ray.cluster_utils import Cluster

from bistil_ray.distributed.launch import START_TIMEOUT

from ..several_nodes.clusters import add_node, local_cluster
from ..tiny import end, wait_for_file, wait_until
from .scenarios import ONE_BY_ONE, RARELY, Bench, Row

NO_ROOM_SECONDS = "30"
"""How long a step waits for a node that has room here, three times."""
CPUS = 2
"""Cores of the node that trains."""


def node_lost(bench: Bench) -> list[Row]:
    """Take away the node that trains and bring another; then take that away too, and bring one after the failure."""
    os.environ[START_TIMEOUT] = NO_ROOM_SECONDS
    with _full_head() as cluster:
        node = add_node(cluster, CPUS)
        tiny = bench.sweep("nodes", *ONE_BY_ONE, "--address", cluster.address)
        sweep = tiny.start()
        wait_for_file(tiny, "steps/distil-*/checkpoints/step-*", sweep)
        events = tiny.events()
        cluster.remove_node(node, allow_graceful=False)
        node = add_node(cluster, CPUS)
        replaced_after = wait_until(lambda: tiny.events() > events + 1, sweep)
        wait_for_file(tiny, "steps/finetune-*/checkpoints/dense/step-*", sweep)
        done_twice = tiny.done_twice()
        began = time.monotonic()
        cluster.remove_node(node, allow_graceful=False)
        code, words = end(sweep)
        gave_up = time.monotonic() - began
        add_node(cluster, CPUS)
        said = (words.strip().splitlines() or ["nothing said"])[-1][:200]
        second = bench.row_after_rerun(
            "node removed, none comes", tiny, f"gave up after {gave_up:.0f} s, code {code}: {said}"
        )
        first = Row("node removed, replaced", f"{done_twice} optimiser steps", round(replaced_after, 1), second.same)
        return [first, second]


def node_drained(bench: Bench) -> Row:
    """Let Ray drain the node that trains, as before a spot machine goes; remove it when the step has saved."""
    with _full_head() as cluster:
        node: Any = add_node(cluster, CPUS)
        tiny = bench.sweep("drained", *ONE_BY_ONE, *RARELY, "--address", cluster.address)
        sweep = tiny.start()
        wait_until(lambda: len(tiny.lines("distil")) > 3, sweep)
        before, events, began = tiny.finished(), tiny.events(), time.monotonic()
        drain = [Path(sys.executable).with_name("ray"), "drain-node", "--address", cluster.address]
        drain += ["--node-id", node.node_id, "--deadline-remaining-seconds", "30"]
        drain += ["--reason", "DRAIN_NODE_REASON_PREEMPTION", "--reason-message", "taken back"]
        subprocess.run(drain, check=True, capture_output=True)
        wait_for_file(tiny, "steps/distil-*/checkpoints/step-*", sweep)
        saved_after = time.monotonic() - began
        cluster.remove_node(node, allow_graceful=False)
        add_node(cluster, CPUS)
        wait_until(lambda: tiny.events() > events + 1, sweep)
        seconds = time.monotonic() - began
        return bench.row("node drained", tiny, seconds, before, sweep, f"saved after {saved_after:.1f} s")


@contextmanager
def _full_head() -> Iterator[Cluster]:
    """Start a head that has no room for a step, so that all train on other nodes: half of its only CPU is taken."""
    with local_cluster(cpus=1) as cluster, ray.init(address=cluster.address):
        half = ray.remote(num_cpus=0.5, resources={"node:__internal_head__": 0.001})(_Placeholder).remote()
        ray.get(half.__ray_ready__.remote())
        yield cluster


class _Placeholder:
    """Takes room on a node."""
