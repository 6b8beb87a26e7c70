"""What ``sweep --plan`` shows: the steps by kind, what is done already, the cost, and where everything goes."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .console import print_table

if TYPE_CHECKING:
    from rich.console import Console

    from bistil_ray.config import RunConfig
    from bistil_ray.distributed.cluster import Resources
    from bistil_ray.planning.plan import Plan
    from bistil_ray.settings import Execution

# Sustained training speed assumed in estimates, FLOP/s: a CPU core without matrix units, a GPU at a third of its peak.
CPU_CORE_FLOPS = 3e10
GPU_FLOPS = 1e14
SECONDS_PER_STEP = 6.0


def plan_data(plan: Plan, config: RunConfig, run: Path) -> dict[str, Any]:
    """Give the plan with its cost on the cluster at hand as plain data; ConfigError where a step has no room there."""
    from bistil_ray.distributed.cluster import find_slot
    from bistil_ray.run_storage import storage_at

    storage = storage_at(config.storage)
    done = {name.removeprefix("steps/") for name in storage.finished([f"steps/{step.key}" for step in plan])}
    left = [step for step in plan if step.key not in done]
    flops = sum(step.flops for step in left)
    cluster = _cluster(config.execution)
    if left:
        find_slot(config.execution, cluster, plan)
    cores = max(1.0, cluster.cpus)  # a head may have none
    speed = cluster.gpus * GPU_FLOPS or cores * CPU_CORE_FLOPS
    seconds = flops / speed + SECONDS_PER_STEP * len(left) / cores
    return {
        **plan.to_dict(),
        "done": sorted(done),
        "done_by_kind": dict(Counter(step.kind for step in plan if step.key in done)),
        "estimate": {
            "tokens_left": sum(step.tokens for step in left),
            "flops_left": flops,
            "cpus": int(cluster.cpus),
            "gpus": int(cluster.gpus),
            "hours": seconds / 3600,
        },
        "storage": str(run.parent) if storage.is_folder else storage.place,
        "steps_folder": storage.place_of(run.parent / "steps"),
        "run": storage.place_of(run),
        "config": config.model_dump(mode="json"),
    }


def show_plan(data: dict[str, Any], console: Console) -> None:
    """Print the plan: a line for each kind of step, the time left, and the folders that will be written to."""
    tokens: Counter[str] = Counter()
    flops: Counter[str] = Counter()
    for step in data["steps"]:
        tokens[step["kind"]] += step["tokens"]
        flops[step["kind"]] += step["flops"]
    rows = [
        _row(kind, count, data["done_by_kind"].get(kind, 0), tokens[kind], flops[kind])
        for kind, count in data["by_kind"].items()
    ]
    total = _row("all", len(data["steps"]), len(data["done"]), data["tokens"], data["flops"])
    columns = ("step", "planned", "done", "tokens", "FLOPs")
    print_table(columns, [*rows, total], columns[1:], console)
    for line in _remarks(data):
        console.print(line, soft_wrap=True)


def _row(name: str, planned: int, done: int, tokens: int, flops: float) -> tuple[str, ...]:
    return (name, str(planned), str(done), f"{tokens:,}" if tokens else "-", f"{flops:.2g}" if flops else "-")


def _remarks(data: dict[str, Any]) -> list[str]:
    estimate = data["estimate"]
    device = f"{estimate['gpus']} GPU(s)" if estimate["gpus"] else f"{estimate['cpus']} CPU core(s)"
    hours = estimate["hours"]
    clock = f"{hours:.1f} hours" if hours >= 1 else f"{max(1, round(hours * 60))} minute(s)"
    left = len(data["steps"]) - len(data["done"])
    return [
        f"Left: {left} steps, {estimate['flops_left']:.2g} FLOPs, roughly {clock} on {device}"
        if left
        else "Nothing is left to do",
        f"Steps go to {data['steps_folder']}, results and the best students to {data['run']}",
    ]


def _cluster(execution: Execution) -> Resources:
    from bistil_ray.distributed.cluster import connected, local_resources, resources_to_come
    from bistil_ray.distributed.joining import cluster_to_join

    if execution.autoscaling:
        return resources_to_come(execution)
    if cluster_to_join(execution.address) is None:
        return local_resources()
    with connected(execution) as resources:
        return resources
