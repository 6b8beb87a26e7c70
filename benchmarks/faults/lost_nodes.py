"""A sweep whose nodes go away, on several Ray nodes of this machine."""

from __future__ import annotations

import os
import time

import ray

from bistil_ray.distributed.launch import START_TIMEOUT

from ..several_nodes.clusters import add_node, local_cluster
from ..tiny import end, wait_for_file, wait_until
from .scenarios import ONE_BY_ONE, TRAIN, Bench, Row

NO_ROOM_SECONDS = "30"
"""How long Ray Train waits for workers here, three times."""


def node_lost(bench: Bench) -> list[Row]:
    """Take away the node that trains and bring another; then take that away too, and bring one after the failure."""
    os.environ[START_TIMEOUT] = NO_ROOM_SECONDS
    with local_cluster(cpus=1) as cluster, ray.init(address=cluster.address):
        node = add_node(cluster, cpus=2)
        # Half of the head's only CPU is taken, so that it has room for drivers but for no worker.
        half = ray.remote(num_cpus=0.5, resources={"node:__internal_head__": 0.001})(_Placeholder).remote()
        ray.get(half.__ray_ready__.remote())
        tiny = bench.sweep("nodes", *TRAIN, *ONE_BY_ONE, "--address", cluster.address)
        sweep = tiny.start()
        wait_for_file(tiny, "steps/distil-*/checkpoints/step-*", sweep)
        events = tiny.events()
        cluster.remove_node(node, allow_graceful=False)
        node = add_node(cluster, cpus=2)
        replaced_after = wait_until(lambda: tiny.events() > events + 1, sweep)
        wait_for_file(tiny, "steps/finetune-*/checkpoints/dense/step-*", sweep)
        done_twice = tiny.done_twice()
        began = time.monotonic()
        cluster.remove_node(node, allow_graceful=False)
        code, words = end(sweep)
        gave_up = time.monotonic() - began
        add_node(cluster, cpus=2)
        said = (words.strip().splitlines() or ["nothing said"])[-1][:200]
        second = bench.row_after_rerun(
            "node removed, none comes", tiny, f"gave up after {gave_up:.0f} s, code {code}: {said}"
        )
        first = Row("node removed, replaced", f"{done_twice} optimiser steps", round(replaced_after, 1), second.same)
        return [first, second]


class _Placeholder:
    """Takes room on a node."""
