"""What a sweep costs beside its steps: plans of several sizes are carried out with steps that do nothing.

``python -m benchmarks.machinery [--steps 100,1000,3000] [--launcher process|train] [--json]`` prints, for each size,
seconds per step (over all of them, the first and the last tenth), seconds before the first step's end and after the
last's, the driver's peak memory, files in the run's folder, and the seconds that planning and a rerun take.
"""

from __future__ import annotations

import argparse
import io
import json
import tempfile
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bistil_ray.config import RunConfig
from bistil_ray.facts import Input, TeacherFacts
from bistil_ray.planning.plan import Plan
from bistil_ray.steps.context import Context, Job
from bistil_ray.storage import mark_done, write_json

from .alone import peak_megabytes, run_alone
from .made_up import make_up_plan

TEACHERS, DENSITIES = 5, (0.02, 0.04, 0.08, 0.16, 0.32)
STEPS_PER_LANGUAGE = 1 + TEACHERS * (2 + len(DENSITIES))
"""A pack; for each teacher an evaluation, a student, and a fine-tuning at each density."""


def plan_of(steps: int, storage: Path, launcher: str) -> tuple[RunConfig, Plan]:
    """Plan a sweep over made-up inputs that has about ``steps`` steps: as many languages as that takes."""
    tokenizer = Input("tokenizer", "tokenizer")
    teachers = [
        TeacherFacts(name, Input(f"models/{name}", name), tokenizer, 12, 256, 1024, 30_000, "bert")
        for name in (f"teacher-{n}" for n in range(TEACHERS))
    ]
    execution = {"max_parallel": 2, "launcher": launcher}
    settings = {"densities": DENSITIES, "storage": str(storage), "execution": execution}
    return make_up_plan(max(1, round(steps / STEPS_PER_LANGUAGE)), teachers, 32_000, settings)


def do_nothing(job: Job, context: Context) -> dict[str, Any]:
    """Leave behind what a step of this kind leaves: metrics, a result with its record, a model of a few bytes."""
    now = time.time()
    result: dict[str, Any] = {"kind": job.kind, "about": dict(job.about), "started": now, "finished": now}
    if job.kind in ("evaluate", "finetune"):
        model = job.folder / "model"
        write_json(model / "config.json", MODEL)
        result["record"] = _record(job, model)
    context.report({"step": 1, "tokens": 1000, "loss": 1.0})
    mark_done(job.folder, result)
    return result


MODEL = {
    "architectures": ["BertForTokenClassification"], "model_type": "bert", "num_hidden_layers": 6, "hidden_size": 256,
    "vocab_size": 10_000, "id2label": {"0": "O"},
}  # fmt: skip


def _record(job: Job, model: Path) -> dict[str, Any]:
    score = int(job.folder.name[-4:], 16) / 16**4
    return {
        "layers": 12, "recipe": "teacher", "seed": 0, **job.about, "step": job.folder.name, "kind": job.kind,
        "source": "en", "hidden": 256, "task": "ner", "split": "test", "metric": "f1", "score": score,
        "validation_score": score, "teacher_score": 0.5, "retention": 2 * score, "params": 10_000_000,
        "bytes": 40_000_000, "vocab_size": 10_000, "flops_per_token": 2e7, "latency_ms": 9.0, "tokens": 1000,
        "seconds": 1.0, "model_dir": str(model), "time": "2026-01-01T00:00:00Z",
    }  # fmt: skip


def measure(steps: int, storage: Path, launcher: str) -> dict[str, Any]:
    """Plan, sweep, and sweep again; give what each cost."""
    from bistil_ray.distributed.progress import Board
    from bistil_ray.distributed.sweep import run_sweep

    def sweep() -> float:
        began = time.monotonic()
        outcome = run_sweep(config, plan, run, Board(Console(file=io.StringIO()), quiet=True), do_nothing)
        assert not outcome.failed and not outcome.interrupted, f"{len(outcome.failed)} steps failed"
        return time.monotonic() - began

    began = time.monotonic()
    config, plan = plan_of(steps, storage, launcher)
    planned, run = time.monotonic() - began, storage / "made-up"
    took, memory, files = sweep(), peak_megabytes(), sum(1 for _ in run.rglob("*"))
    ends = sorted(mark.stat().st_mtime for mark in storage.glob("steps/*/DONE"))
    tenth = len(ends) // 10
    return {
        "steps": len(plan),
        "seconds_per_step": (ends[-1] - ends[0]) / (len(plan) - 1),
        "first_tenth": (ends[tenth] - ends[0]) / tenth,
        "last_tenth": (ends[-1] - ends[-1 - tenth]) / tenth,
        "start_and_end": took - (ends[-1] - ends[0]),
        "driver_mb": memory,
        "files": files,
        "planning": planned,
        "rerun": sweep(),
    }


def show(rows: list[dict[str, Any]]) -> None:
    """Print one line for each size."""
    table = Table(*(name.replace("_", " ") for name in rows[0]))
    for row in rows:
        table.add_row(*(f"{value:.3g}" if isinstance(value, float) else f"{value:,}" for value in row.values()))
    Console().print(table)


def main() -> None:
    """Measure each size in a process and a folder of its own."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.machinery", description=__doc__)
    parser.add_argument("--steps", default="100,1000,3000", help="sizes of the plans, about")
    parser.add_argument("--launcher", default="process", help="where steps run: in their trial's process, or Ray Train")
    parser.add_argument("--json", action="store_true", help="print data instead of a table")
    options = parser.parse_args()
    rows = []
    for steps in map(int, options.steps.split(",")):
        with tempfile.TemporaryDirectory() as storage:
            rows.append(run_alone(measure, steps, Path(storage), options.launcher))
    print(json.dumps(rows, indent=2)) if options.json else show(rows)


if __name__ == "__main__":
    from benchmarks import machinery  # by its name, under which other processes find its functions

    machinery.main()
