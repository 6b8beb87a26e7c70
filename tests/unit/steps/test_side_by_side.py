"""Students that share the work of their teacher are those that would have come out one by one."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from bistil_ray.config_sources import load_config
from bistil_ray.inputs import gather_facts
from bistil_ray.planning.plan import make_plan
from bistil_ray.planning.step import Step
from bistil_ray.steps.context import Context, Job, LocalContext
from bistil_ray.steps.local import run_here
from bistil_ray.steps.run import make_job, run_step
from bistil_ray.steps.side_by_side import run_side_by_side
from bistil_ray.teachers import shared

TIMES = ("started", "finished", "seconds", "time", "tokens_per_second")


@pytest.fixture(scope="module")
def plan_students(tiny_settings: dict[str, Any], bert_folder: Path) -> Callable[..., list[Step]]:
    """A function planning all that is to be done up to a phase: two depths of three recipes, with settings changed."""

    def plan(*overrides: str, phase: int = 1) -> list[Step]:
        students = ("layers=[2,1]", "recipes=[bistil,minilmv2,distilmbert]", "distil.steps=4", "distil.evaluations=1")
        config = load_config(None, (*students, *overrides), {"teachers": [str(bert_folder)]}, tiny_settings)
        steps = make_plan(config, gather_facts(config))
        return [step for step in steps if phase == 2 or step.kind in ("pack", "adapt", "distil")]

    return plan


def ready(plan: list[Step], apart: Path, folder: Path, kind: str = "distil") -> list[Job]:
    """Carry out ``plan`` step by step in ``apart``, and prepare to do so side by side in ``folder``."""
    run_here(plan, apart)
    folder.mkdir()
    for step in plan:
        if step.kind != kind:
            (folder / step.key).symlink_to(apart / step.key)
    return [make_job(step, folder) for step in plan if step.kind == kind]


def told(folder: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """What a step has left in words: its result and what it reported, without times."""
    lines = [(folder / "result.json").read_text(), *(folder / "metrics.jsonl").read_text().splitlines()]
    result, *metrics = ({k: v for k, v in json.loads(line).items() if k not in TIMES} for line in lines)
    return result, metrics


def assert_same(one: Path, other: Path) -> None:
    assert told(one) == told(other)
    files = {path.relative_to(one) for path in one.rglob("*") if path.is_file()}
    assert files == {path.relative_to(other) for path in other.rglob("*") if path.is_file()}
    assert_same_weights(one / "student", other / "student")


def assert_same_weights(one: Path, other: Path) -> None:
    mine, theirs = (load_file(folder / "model.safetensors") for folder in (one, other))
    assert mine.keys() == theirs.keys()
    for name, values in mine.items():
        assert torch.equal(values, theirs[name]), name


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """What teachers that are shared have read, pass by pass."""
    batches: list[bytes] = []
    look_at = shared.look_at

    def count(model: Any, batch: Any, wanted: Any) -> Any:
        batches.append(batch["input_ids"].numpy().tobytes())
        return look_at(model, batch, wanted)

    monkeypatch.setattr(shared, "look_at", count)
    return batches


@pytest.mark.parametrize(
    ("students", "batches", "first", "settings"),
    [
        (6, 4, 1, ()),
        (4, 8, 2, ("recipes=[bistil,distilmbert]", "distil.logit_weight=1", "distil.accumulation=2")),
        (4, 4, 1, ("recipes=[bistil,minilmv2]", "hidden=[16]", "distil.mask=0.05")),
        (4, 8, 2, ("recipes=[bistil,distilmbert]", "distil.mask=0")),
        (2, 4, 2, ("recipes=[bistil]", "adapt.enabled=true", "adapt.dense_steps=2", "adapt.sparse_steps=2")),
    ],
    ids=["recipes", "logits in micro-batches", "narrow", "two corruptions", "adapted teachers"],
)
def test_students_side_by_side_are_those_trained_one_by_one(
    students: int,
    batches: int,
    first: int,
    settings: tuple[str, ...],
    plan_students: Callable[..., list[Step]],
    read: list[bytes],
    tmp_path: Path,
) -> None:
    jobs = ready(plan_students(*settings), tmp_path / "apart", tmp_path / "beside")
    assert len(jobs) == students
    assert read == [], "who trains alone shares nothing"
    run_side_by_side(jobs, LocalContext(), run_step)
    for job in jobs:
        assert_same(tmp_path / "apart" / job.folder.name, job.folder)
    times = list(Counter(read).values())
    assert len(times) == batches
    assert times[first:] == [1] * (batches - first), "once it is known who wants what, one pass is for all"


class Power(Exception):
    """What goes out when it is cut."""


def run(job: Job, context: Context) -> str:
    """Run a step until its power is cut."""
    try:
        run_step(job, context)
    except Power:
        return "cut"
    return "done"


def often_saved(jobs: list[Job]) -> list[Job]:
    """The same steps with a checkpoint after every batch."""
    return [replace(job, runtime={"accumulation": 1, "checkpoint_minutes": 0}) for job in jobs]


def test_a_failure_is_ones_own_and_who_is_behind_comes_up_again(
    plan_students: Callable[..., list[Step]], tmp_path: Path
) -> None:
    plan = plan_students("recipes=[bistil]", "layers=[4,2,1]")
    jobs = often_saved(ready(plan, tmp_path / "apart", tmp_path / "beside"))
    first, second, third = (job.folder.name for job in jobs)
    cut_at = {first: 2, second: 4}
    order: list[tuple[str, int]] = []

    def report(metrics: dict[str, Any]) -> None:
        if "loss" in metrics:
            order.append((metrics["of"], metrics["step"]))
        if cut_at.get(metrics["of"]) == metrics["step"]:
            raise Power

    assert run_side_by_side(jobs, LocalContext(report), run) == ["cut", "cut", "done"]
    assert order[:6] == [(first, 1), (second, 1), (third, 1), (first, 2), (second, 2), (third, 2)]
    order.clear()
    cut_at.clear()
    assert run_side_by_side(jobs[:2], LocalContext(report), run) == ["done", "done"]
    assert order == [(first, 2), (first, 3), (first, 4), (second, 4)]
    for job in jobs:
        result, _ = told(job.folder)
        assert result == told(tmp_path / "apart" / job.folder.name)[0]
        assert_same_weights(tmp_path / "apart" / job.folder.name / "student", job.folder / "student")


DENSITIES = ("layers=[2]", "densities=[0.05,0.1,0.3]")


@pytest.mark.parametrize(
    ("passes", "settings"),
    [
        (6, ("recipes=[bistil]",)),
        (6, ("recipes=[bistil+]",)),
        (6, ("recipes=[bistil]", "adapt.enabled=true", "adapt.dense_steps=2", "adapt.sparse_steps=2")),
        (0, ("recipes=[nodistil]",)),
    ],
    ids=["bistil", "text besides", "adapted teachers", "labels alone"],
)
def test_densities_side_by_side_are_those_tuned_one_by_one(
    passes: int,
    settings: tuple[str, ...],
    plan_students: Callable[..., list[Step]],
    read: list[bytes],
    tmp_path: Path,
) -> None:
    plan = plan_students(*DENSITIES, *settings, phase=2)
    jobs = ready(plan, tmp_path / "apart", tmp_path / "beside", "finetune")
    assert len(jobs) == 3 and read == []
    run_side_by_side(jobs, LocalContext(), run_step)
    assert len(read) == passes, "three steps for all before the choice, and three after it"
    whole = [line for job in jobs for line in told(job.folder)[1] if line.get("phase") == "dense"]
    assert [line["step"] for line in whole] == [1, 2, 3], "what is the same for all densities is done once"
    for job in jobs:
        alone = tmp_path / "apart" / job.folder.name
        assert_same_weights(alone / "model", job.folder / "model")
        assert (alone / "sft/sft.safetensors").read_bytes() == (job.folder / "sft/sft.safetensors").read_bytes()
        one, other = (told(folder)[0]["record"] for folder in (alone, job.folder))
        assert all(one[name] == other[name] for name in ("score", "tokens", "density"))


@pytest.mark.parametrize("phase", ["dense", "sparse"])
def test_densities_cut_off_side_by_side_go_on(
    phase: str, plan_students: Callable[..., list[Step]], tmp_path: Path
) -> None:
    plan = plan_students(*DENSITIES, "recipes=[bistil]", phase=2)
    jobs = often_saved(ready(plan, tmp_path / "apart", tmp_path / "beside", "finetune"))
    order: list[tuple[int, str, int]] = []
    cut = [(phase, 2)]
    numbers = {job.folder.name: number for number, job in enumerate(jobs)}

    def report(metrics: dict[str, Any]) -> None:
        if "loss" in metrics:
            order.append((numbers[metrics["of"]], metrics["phase"], metrics["step"]))
            if order[-1][1:] in cut:
                raise Power

    assert run_side_by_side(jobs, LocalContext(report), run) == ["cut"] * 3
    order.clear()
    cut.clear()
    assert run_side_by_side(jobs, LocalContext(report), run) == ["done"] * 3
    assert [(member, step) for member, name, step in order if name == "dense"] == (
        [(0, 2), (0, 3)] if phase == "dense" else []
    ), "the first goes on for all"
    for job in jobs:
        assert_same_weights(tmp_path / "apart" / job.folder.name / "model", job.folder / "model")


def test_each_step_logs_in_its_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def work(job: Job, context: Context) -> dict[str, Any]:
        context.take_turn(0)
        logging.getLogger("bistil_ray.train.loop").info("of %s", job.folder.name)
        context.take_turn(1)
        return {}

    monkeypatch.setattr("bistil_ray.steps.run._runner", lambda kind: work)
    jobs = [Job("distil", {}, {}, {}, tmp_path / name) for name in ("one", "two")]
    run_side_by_side(jobs, LocalContext(), run_step)
    for job in jobs:
        (line,) = (job.folder / "log.txt").read_text().splitlines()
        assert line.endswith(f"of {job.folder.name}")
