"""A sweep on a GPU, here one by name only: who holds it, who shares it, whose process ends after a failure."""

from __future__ import annotations

import json
import os
import select
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ray

from bistil_ray.config import RunConfig
from bistil_ray.distributed.sweep import Outcome
from bistil_ray.planning.plan import Plan
from bistil_ray.steps.context import Context, Job
from bistil_ray.storage import append_line
from tests.ray.told_steps import end_at_once, step

SECONDS = 120
"""How long steps wait for each other before the test fails."""
PARTNERS = {"ha": "yo", "yo": "ha"}


def meet(folder: Path, name: str) -> None:
    """Wait until the partner is running too: each writes into the other's pipe and reads its own."""
    pipes = {lang: os.open(folder / lang, os.O_RDWR) for lang in PARTNERS}
    os.write(pipes[PARTNERS[name]], b"!")
    assert select.select([pipes[name]], [], [], SECONDS)[0], f"{name} was alone for {SECONDS} s"


def test_steps_share_a_gpu_as_measured_and_a_failure_ends_its_process(
    cluster: None, plan_of: Callable[..., tuple[RunConfig, Plan]], carry_out: Callable[..., Outcome], tmp_path: Path
) -> None:
    for lang in PARTNERS:
        os.mkfifo(tmp_path / lang)
    log = tmp_path / "log"

    def body(job: Job, context: Context) -> dict[str, Any]:
        held = ray.get_runtime_context().get_assigned_resources().get("GPU", 0.0)
        lang = str(job.about["lang"])
        append_line(log, json.dumps([job.kind, lang, held, os.getpid()]))
        if lang in PARTNERS and job.kind == "distil":
            meet(tmp_path, lang)
        if lang == "ig" and held < 1:
            raise RuntimeError("CUDA error: out of memory")
        return end_at_once(job, context, device_memory=10 * 10**9, device_memory_total=80 * 10**9)

    first, *others = (step("distil", lang) for lang in ("sw", "ha", "yo", "ig"))
    pack = step("pack", "sw")
    config, _ = plan_of({"gpus_per_worker": None}, storage=str(tmp_path / "runs"))
    outcome = carry_out(config, Plan((pack, first, *others)), "shared", body=body)

    assert set(outcome.states.values()) == {("done", "")}
    told = [tuple(json.loads(line)) for line in log.read_text().splitlines()]
    held = [(kind, lang, gpus) for kind, lang, gpus, _ in told]
    assert ("pack", "sw", 0.0) in held and ("distil", "sw", 1.0) in held
    assert ("distil", "ha", 0.5) in held and ("distil", "yo", 0.5) in held
    (failed,), (again,) = ([pid for _, lang, gpus, pid in told if (lang, gpus) == ("ig", g)] for g in (0.5, 1.0))
    assert again != failed, "after an error CUDA may work no more in a process"
