"""What ``sweep --plan`` shows: the steps by kind, what is done already, the cost, and where everything goes."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from ...config import RunConfig
    from ...plan import Plan

# Sustained training speed assumed in estimates, FLOP/s: a CPU core without and a GPU with matrix units at a third of peak.
CPU_CORE_FLOPS = 3e10
GPU_FLOPS = 1e14
SECONDS_PER_STEP = 6.0


def plan_data(plan: Plan, config: RunConfig, storage: Path, name: str) -> dict[str, Any]:
    """Give the plan with its cost on the machine at hand as plain data."""
    from ...storage import is_done

    done = {step.key for step in plan if is_done(storage / "steps" / step.key)}
    left = [step for step in plan if step.key not in done]
    flops = sum(step.flops for step in left)
    cpus, gpus = _devices()
    seconds = flops / (gpus * GPU_FLOPS if gpus else cpus * CPU_CORE_FLOPS) + SECONDS_PER_STEP * len(left) / max(1, cpus)
    return {
        **plan.to_dict(),
        "done": sorted(done),
        "done_by_kind": dict(Counter(step.kind for step in plan if step.key in done)),
        "estimate": {"tokens_left": sum(step.tokens for step in left), "flops_left": flops, "cpus": cpus, "gpus": gpus, "hours": seconds / 3600},
        "storage": str(storage),
        "run": str(storage / name),
        "config": config.model_dump(mode="json"),
    }


def show_plan(data: dict[str, Any], console: Console) -> None:
    """Print the plan as a table and a line on cost and place."""
    table = Table(box=None, pad_edge=False)
    for column in ("step", "all", "done", "tokens"):
        table.add_column(column, justify="left" if column == "step" else "right")
    tokens: Counter[str] = Counter()
    for step in data["steps"]:
        tokens[step["kind"]] += step["tokens"]
    for kind, count in data["by_kind"].items():
        table.add_row(kind, str(count), str(data["done_by_kind"].get(kind, 0)), f"{tokens[kind]:,}" if tokens[kind] else "")
    console.print(table)
    estimate = data["estimate"]
    device = f"{estimate['gpus']} GPU(s)" if estimate["gpus"] else f"{estimate['cpus']} CPU core(s)"
    hours = estimate["hours"]
    clock = f"{hours:.1f} hours" if hours >= 1 else f"{hours * 60:.0f} minutes"
    console.print(
        f"{len(data['steps'])} steps, {estimate['flops_left']:.2g} FLOPs left: roughly {clock} on {device}; "
        f"results in {data['run']}",
        highlight=False,
        soft_wrap=True,
    )


def _devices() -> tuple[int, int]:
    from ...distributed.cluster import local_resources

    resources = local_resources()
    return int(resources.cpus), int(resources.gpus)
