"""The cluster at hand: starting or joining Ray, and how many steps fit side by side."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import psutil
import ray
import torch
from ray._private import services

from ..errors import ClusterError, ConfigError, first_line
from ..planning.plan import Plan
from ..planning.sharing import companions
from ..settings import Execution
from ..train.allocator import ENVIRONMENT
from .gpu_share import MOST, GpuRoom
from .joining import cluster_to_join, join
from .slot import MODELS, PACKS, Slot

STARTS = 4
"""Attempts to start a local cluster."""
ROUNDING = 1e-6
"""Shares of GPUs are floats: ten tenths of one must be found to be one."""
BYTES_PER_TRIAL = 1.2e9
"""Host memory of a trial before any model: Python, torch, transformers and Ray."""
BYTES_PER_PARAMETER = 16
"""Teacher, its gradients and optimiser in float32."""
BYTES_PER_STATE = 135
"""What a forward pass keeps for the backward one, for each token, unit and layer: measured 85 to 137."""
BYTES_BESIDE = 12
"""Of each more student that shares its teacher, if it is as large: weights and optimiser; gradients come and go."""


@dataclass(frozen=True)
class Resources:
    """What a cluster has.

    ``memory`` is that of the smallest node, in bytes; ``node_cpus`` the cores of the largest, among those with GPUs if
    there are any.
    """

    cpus: float
    gpus: float
    nodes: int
    memory: float
    node_cpus: float


def local_resources() -> Resources:
    """What this machine would give a cluster of its own, without starting one."""
    return Resources(_cores(), torch.cuda.device_count(), 1, psutil.virtual_memory().total, _cores())


def resources_to_come(execution: Execution) -> Resources:
    """What a cluster that grows on demand will have when it has grown; of the memory of its nodes nothing is known."""
    slot, parallel = _slot_to_come(execution)
    workers = parallel * slot.workers
    return Resources(workers * slot.cpus, workers * slot.gpus, workers, 0.0, slot.cpus)


@contextmanager
def connected(execution: Execution) -> Iterator[Resources]:
    """Join the cluster at ``execution.address``, or start one on this machine; give what it has.

    A cluster this process is part of already is used as it is and not left; any other is left at the end, and one that
    was started here ends.
    """
    if ray.is_initialized():
        yield _resources()
        return
    _connect(execution)
    try:
        yield _resources()
    finally:
        ray.shutdown()


def _connect(execution: Execution) -> None:
    address = cluster_to_join(execution.address)
    if address is not None:
        join(address)
    else:
        _start_local(execution)


def _start_local(execution: Execution) -> None:
    """Start a cluster on this machine; Ray gives its parts 30 seconds, which a busy machine may need twice."""
    # What a lost trial leaves of Ray Train is cleaned up through the dashboard; nothing else needs it.
    dashboard = _launcher(execution) == "train"
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)  # of the processes that Ray starts
    for attempt in range(STARTS):
        try:
            with _groups_of_their_own():
                ray.init(
                    address="local",  # never a cluster that happens to run on this machine
                    num_cpus=_cores(),
                    log_to_driver=False,
                    logging_level="ERROR",
                    include_dashboard=dashboard,
                    object_store_memory=int(min(1e9, psutil.virtual_memory().total * 0.05) + 1e8),
                )
            return
        except Exception as problem:  # Ray raises the bare class when its node does not come up in time
            ray.shutdown()
            if attempt == STARTS - 1:
                raise ClusterError(
                    f"Ray did not start on this machine in {STARTS} attempts: {_advice(first_line(problem))}"
                ) from problem


def _advice(reason: str) -> str:
    """Say what to do about what kept Ray from starting, where that is known."""
    return f"{reason}; name a folder with a shorter path in RAY_TMPDIR" if "AF_UNIX" in reason else reason


@contextmanager
def _groups_of_their_own() -> Iterator[None]:
    """Let Ray start its processes outside of this one's process group.

    A signal to the whole group, as ``timeout`` and many supervisors send it, is this process's to hear: it lets steps
    save, where Ray's own processes would end them at once.
    """
    start = services.ConsolePopen
    services.ConsolePopen = partial(start, process_group=0)
    try:
        yield
    finally:
        services.ConsolePopen = start


def _resources() -> Resources:
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    total = ray.cluster_resources()
    memory = min((node.get("memory", 0.0) for node in nodes if node.get("CPU")), default=0.0)
    cores = [node["CPU"] for node in nodes if node.get("CPU") and (node.get("GPU") or not total.get("GPU"))]
    return Resources(total.get("CPU", 0.0), total.get("GPU", 0.0), len(nodes), memory, max(cores, default=0.0))


def find_slot(execution: Execution, resources: Resources, plan: Plan) -> tuple[Slot, int]:
    """Work out the room of one step and how many fit side by side; nothing is guessed.

    Raises ConfigError where not even one fits.
    """
    if execution.autoscaling:
        return _slot_to_come(execution)
    workers = execution.workers
    gpus = execution.gpus_per_worker if execution.gpus_per_worker is not None else float(resources.gpus > 0)
    if gpus * workers > resources.gpus + ROUNDING:
        raise ConfigError(
            f"--workers {workers} with --gpus-per-worker {gpus:g} needs {gpus * workers:g} GPUs, "
            f"but the cluster has {resources.gpus:g} (if it grows on demand: --set execution.autoscaling=true)"
        )
    # A quarter of the machine for each step, but whole cores of one node: small students gain little from more threads.
    # Beside a GPU half of its cores: the other half reads, tokenises and packs.
    share = 2 * max(1.0, resources.gpus / gpus) if gpus else 4.0 * workers
    cpus = max(1.0, min(resources.cpus // share, resources.node_cpus))
    by_cpu = int(resources.cpus // (cpus * workers))
    by_gpu = int(resources.gpus / (gpus * workers) + ROUNDING) if gpus else by_cpu
    if by_cpu < 1:
        raise ConfigError(
            f"--workers {workers} needs {workers} CPUs, but the cluster has {resources.cpus:g} "
            "(if it grows on demand: --set execution.autoscaling=true)"
        )
    parallel = min(by_cpu, by_gpu, _most_at_once(execution, resources, plan, gpus))
    return Slot(_launcher(execution), workers, cpus, gpus), max(1, parallel)


def places_for(
    execution: Execution, resources: Resources, plan: Plan, slot: Slot, parallel: int
) -> tuple[dict[str, int], GpuRoom | None]:
    """Give how many steps of each kind run side by side at the most, and what deals out GPUs where trials hold them.

    ``parallel`` steps have a GPU each, or their given share of one, and more if they turn out to need less. Beside GPUs
    there are as many packs again, on the cores that idle.
    """
    if not slot.gpus:
        return {MODELS: parallel}, None
    if slot.launcher == "train":
        return {MODELS: parallel, PACKS: parallel}, None
    if execution.gpus_per_worker is not None:
        return {MODELS: parallel, PACKS: parallel}, GpuRoom(parallel * slot.gpus, slot.gpus)
    most = min(MOST, int(slot.cpus))
    together = min(parallel * most, _most_at_once(execution, resources, plan, slot.gpus))
    return {MODELS: together, PACKS: parallel}, GpuRoom(parallel, most=most)


def _launcher(execution: Execution) -> str:
    """Ray Train where a step has several workers; one alone trains in the trial's own process."""
    if execution.launcher == "process" and execution.workers > 1:
        raise ConfigError(f"--workers {execution.workers} needs Ray Train: set execution.launcher to train or auto")
    if execution.launcher == "auto":
        return "train" if execution.workers > 1 else "process"
    return execution.launcher


def _most_at_once(execution: Execution, resources: Resources, plan: Plan, gpus: float) -> int:
    """Give how many steps the memory of the nodes has room for, as far as it is known, and the user wants."""
    most = sys.maxsize if execution.max_parallel is None else execution.max_parallel
    if resources.memory:
        step = _bytes_per_step(plan, execution, 0 if gpus else plan.most_states)  # a batch lies where it is computed
        most = min(most, int(resources.memory * max(1, resources.nodes) // step))
    return max(1, most)


def _slot_to_come(execution: Execution) -> tuple[Slot, int]:
    """The room of a step on nodes that are yet to be started, of which nothing is known: the user says how much."""
    if execution.gpus_per_worker is None or execution.max_parallel is None:
        raise ConfigError(
            "execution.autoscaling is true, and what the cluster will grow to cannot be seen: give --gpus-per-worker "
            "(0 on CPU nodes) and --max-parallel"
        )
    return Slot(_launcher(execution), execution.workers, 1.0, execution.gpus_per_worker), execution.max_parallel


def _bytes_per_step(plan: Plan, execution: Execution, states: int) -> float:
    most = max(map(len, companions(plan).values()), default=1) if execution.share_teacher else 1
    bytes_per_parameter = BYTES_PER_PARAMETER + (most - 1) * BYTES_BESIDE
    # Each worker has the whole model and a share of the batch.
    return execution.workers * (BYTES_PER_TRIAL + bytes_per_parameter * plan.largest_model) + BYTES_PER_STATE * states


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
