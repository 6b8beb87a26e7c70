"""``bistil-ray bench``: what it costs to use a model, several side by side."""

from __future__ import annotations

from typing import Annotated

import typer

from ..console import print_json, print_table, working
from ..options import AsJson, Quiet

EPILOG = "Example: bistil-ray bench runs/mine/best/sw exported/sw-int8 Davlan/afro-xlmr-base"


def bench(
    models: Annotated[list[str], typer.Argument(help="Models: folders, also exported ones with ONNX, or hub ids.")],
    seconds: Annotated[
        float,
        typer.Option(min=0, max=3600, help="How long each figure of time is measured; the quickest pass tells it."),
    ] = 3.0,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Measure parameters, bytes, FLOPs, latency, throughput and memory of models on this machine.

    Latency is for one text of 128 tokens on one CPU thread (and on the GPU, where there is one), throughput for batches
    of 16 on all cores. Each model runs in a process of its own.
    """
    from dataclasses import asdict

    from bistil_ray.export.bench import cost_of
    from bistil_ray.export.heads import head_of, read_config
    from bistil_ray.export.package import onnx_file
    from bistil_ray.export.session import require_onnx
    from bistil_ray.models.hub import locate_model

    folders = {model: locate_model(model, "MODEL") for model in models}
    for folder in folders.values():
        head_of(read_config(folder), folder)
        if onnx_file(folder) is not None:
            require_onnx(f"MODEL {str(folder)!r}")
    costs = []
    for turn, (model, folder) in enumerate(folders.items(), 1):
        with working(f"Measuring {model} ({turn} of {len(folders)})", quiet):
            costs.append(cost_of(model, folder, seconds))
    if as_json:
        print_json([asdict(cost) for cost in costs])
        return
    columns = ("model", "form", "params", "size", "FLOPs/token", "latency", "throughput", "memory", "GPU latency")
    rows = [
        (
            cost.model,
            cost.form,
            f"{cost.params / 1e6:.1f} M",
            f"{cost.bytes / 1e6:.1f} MB",
            f"{cost.flops_per_token / 1e6:.1f} M",
            f"{cost.latency_ms:.1f} ms",
            f"{cost.tokens_per_second:,.0f} tokens/s",
            "-" if cost.memory_bytes is None else f"{cost.memory_bytes / 1e6:.0f} MB",
            "-" if cost.gpu_latency_ms is None else f"{cost.gpu_latency_ms:.1f} ms",
        )
        for cost in costs
    ]
    print_table(
        columns, rows, right=columns[2:], spare=("GPU latency", "FLOPs/token", "memory", "throughput", "params")
    )
