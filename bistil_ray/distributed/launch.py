"""The two launchers of a step behind one small seam: in the trial's own process, or on Ray Train workers.

Both call ``run_step`` with a context; neither knows what the step does. A trial that catches an exception of its step
reports it as its result, so that only lost processes lead to another attempt.
"""

from __future__ import annotations

import logging
import os
import pickle
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import ray
import torch
from ray import cloudpickle, tune

from ..credentials import masked
from ..errors import BistilError, ClusterError
from ..planning.step import Step
from ..steps.context import Context, Job
from ..steps.examination import Paused
from ..steps.run import in_turn, make_job, run_in_turn
from ..steps.side_by_side import run_side_by_side
from ..train.allocator import let_go
from ..train.notice import TERMINATED
from .slot import Slot, slot_of
from .stream import RayContext

RETRIES = 2
START_TIMEOUT = "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S"
START_SECONDS = 300
"""How long workers are waited for, ``RETRIES`` times more: machines of a cloud take minutes to come."""
NO_ROOM = "the cluster has lost nodes or is busy; add nodes and run the same command again"
Body = Callable[[Job, Context], dict[str, Any]]
"""What is done with a step: ``run_step``, but where only what is around it is looked at."""
END = (BistilError, SystemExit, Paused)
"""What ends a step in all its processes: a user's mistake, the word to end, a comparison with others."""


def run_trial(config: dict[str, Any], steps: Mapping[str, bytes], folder: str, slot: Slot, body: Body) -> None:
    """Ray Tune's function: run ``body`` on the step named in ``config`` and report how it went.

    ``steps`` are pickled ones by key. A step that another run is carrying out is waited for, and its result taken. With
    the steps in ``beside`` it shares the process, and how each of them went is in ``ends``. With ``pause_at`` it trains
    up to that step of its optimiser; ``gpus`` is its share of a GPU, if not that of the ``slot``. Raises SystemExit,
    when that is reported, where this process must not be given another step.
    """
    found: list[Step] = [pickle.loads(steps[key]) for key in (config["step"], *config.get("beside", ()))]
    jobs = [make_job(step, Path(folder)) for step in found]
    if "pause_at" in config:
        jobs = [replace(job, runtime={**job.runtime, "pause_at": config["pause_at"]}) for job in jobs]
    room = slot_of(config, slot)
    if not found[0].loads_model:
        room = room.without_device
    launch = partial(_on_workers if room.launcher == "train" else _in_process, slot=room)
    if len(jobs) == 1:
        end = _end_of(partial(run_in_turn, jobs[0], partial(launch, body=body)))
    else:
        end = _end_of(partial(_launch_together, jobs, launch, body))
    tune.report(end)
    states = {one["state"] for one in (end, *end.get("ends", ()))}
    # The node of one that was told to end may be about to go, and after an error CUDA may work no more in a process.
    if "ended" in states or (room.gpus and "failed" in states):
        raise SystemExit(TERMINATED)


def _end_of(run: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Let ``run`` run a step, and give how it went as it is reported: what any exception says goes on from here."""
    try:
        result = run()
    except SystemExit:  # it was told to end, and has saved
        return {"state": "ended", "progress": 0.0}
    except Paused as pause:
        return {"state": "paused", "progress": 0.0, "bits_per_character": pause.bits}
    except Exception as problem:
        text = str(problem) if isinstance(problem, BistilError) else traceback.format_exc()
        return {"state": "failed", "error": masked(_one_line(problem)), "details": masked(text), "progress": 1.0}
    return {"state": "done", "progress": 1.0, **_figures(result)}


def _launch_together(jobs: Sequence[Job], launch: Callable[..., dict[str, Any]], body: Body) -> dict[str, Any]:
    """Run in one process what is left of ``jobs``, and give their ``ends``."""
    with in_turn(jobs) as left:
        return launch(left[0], body=partial(_together, jobs=left, body=body)) if left else {}


def _together(first: Job, context: Context, jobs: Sequence[Job], body: Body) -> dict[str, Any]:
    """The body of the step ``first`` that runs ``body`` on all of ``jobs``; ends are a list: Tune flattens mappings."""
    ends = run_side_by_side(jobs, context, lambda job, own: _end_of(partial(body, job, own)))
    return {"ends": [{"step": job.folder.name, **end} for job, end in zip(jobs, ends, strict=True)]}


def _in_process(job: Job, slot: Slot, body: Body) -> dict[str, Any]:
    torch.set_num_threads(max(1, int(slot.cpus)))
    device = torch.device("cuda" if slot.gpus else "cpu")
    try:
        return body(job, RayContext(_forward(tune.report), device))
    finally:
        let_go()  # a process runs many steps
        if slot.gpus:
            torch.cuda.empty_cache()  # which others on this GPU may need before the next step here


def _on_workers(job: Job, slot: Slot, body: Body) -> dict[str, Any]:
    from ray.train import CheckpointConfig, FailureConfig, LoggingConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer
    from ray.tune.integration.ray_train import TuneReportCallback

    os.environ.setdefault(START_TIMEOUT, str(START_SECONDS))
    trainer = TorchTrainer(
        _worker,
        # Packed, since Train's controller unpacks what it is given: it would take seconds to import what it never uses.
        train_loop_config={"work": cloudpickle.dumps((job, slot, body))},
        scaling_config=ScalingConfig(
            num_workers=slot.workers if job.trains else 1,
            use_gpu=slot.gpus > 0,
            resources_per_worker={"CPU": slot.reserved_cpus} | ({"GPU": slot.gpus} if slot.gpus else {}),
        ),
        run_config=RunConfig(
            name=job.folder.name,
            storage_path=str(job.folder.parent.parent / "train"),
            callbacks=[TuneReportCallback()],
            checkpoint_config=CheckpointConfig(num_to_keep=1),
            failure_config=FailureConfig(max_failures=RETRIES, controller_failure_limit=RETRIES),
            logging_config=LoggingConfig(log_level="ERROR"),
        ),
    )
    try:
        result: dict[str, Any] | BistilError | SystemExit | Paused = trainer.fit().return_value
    except ray.train.TrainingFailedError as problem:
        if "Startup" not in type(getattr(problem, "controller_failure", None)).__name__:
            raise
        raise ClusterError(_no_room(slot, trainer.scaling_config.num_workers)) from problem
    if isinstance(result, END):
        raise result
    return result


def patience() -> float:
    """How many seconds a step waits for room on the cluster before it is given up."""
    return float(os.environ.get(START_TIMEOUT, START_SECONDS)) * (RETRIES + 1)


def _no_room(slot: Slot, workers: int) -> str:
    gpus = f" and {slot.gpus:g} GPUs" if slot.gpus else ""
    return (
        f"no room for {workers} worker(s) of {slot.reserved_cpus:g} CPUs{gpus} in {patience():g} seconds: {NO_ROOM}, "
        "or lower --workers or --gpus-per-worker"
    )


def _worker(config: dict[str, Any]) -> dict[str, Any] | BistilError | SystemExit | Paused:
    """Run the step on this rank; what ended it on all ranks for good is given too: Ray must not try again."""
    from ray import train
    from ray.train.torch import get_device

    job: Job
    slot: Slot
    body: Body
    job, slot, body = cloudpickle.loads(config["work"])
    torch.set_num_threads(max(1, int(slot.cpus)))
    place = train.get_context()
    report = _forward(train.report)
    context = RayContext(report, get_device(), place.get_world_rank(), place.get_world_size())
    try:
        return body(job, context)
    except END as end:
        return end


def _forward(report: Callable[[dict[str, Any]], None]) -> Callable[[dict[str, Any]], None]:
    return lambda metrics: report({"state": "running", "progress": 0.0, **_figures(metrics)})


def _figures(values: dict[str, Any]) -> dict[str, Any]:
    """What goes through Tune's logs: plain figures and words, and the ends of several steps.

    The whole result lies in the step's folder.
    """
    record = values.get("record") or {}
    merged = {**values, **{name: record[name] for name in ("metric", "score", "validation_score") if name in record}}
    return {name: value for name, value in merged.items() if isinstance(value, int | float | str) or name == "ends"}


def _one_line(problem: Exception) -> str:
    if isinstance(problem, BistilError):
        return str(problem)
    if "OutOfMemoryError" in f"{type(problem).__name__} {problem}" and "Ray" in str(problem):
        return "a machine ran out of memory, so Ray ended a process of the step: lower --max-parallel or batch_size"
    last = (str(problem).strip().splitlines() or [""])[-1]
    # Ray's own errors end with the last line of the traceback they wrap.
    wraps = isinstance(problem, ray.exceptions.RayTaskError | ray.train.TrainingFailedError)
    return last if wraps else f"{type(problem).__name__}: {last}"


def quiet() -> None:
    """Keep Ray's own chatter out of the terminal; called before Ray starts."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_DATA_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.2")
    os.environ.setdefault("RAY_TRAIN_ENABLE_PRINT_PATCH", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
    os.environ.setdefault("TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S", "0")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    for name in ("ray", "ray.train", "ray.data"):
        logging.getLogger(name).setLevel(logging.ERROR)
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)  # what is lost or failed is told by us, in one line
