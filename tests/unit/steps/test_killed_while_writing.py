"""A step that dies at any of its writes leaves nothing that looks finished, and ends the same when run again."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from bistil_ray.config_sources import load_config
from bistil_ray.inputs import gather_facts
from bistil_ray.planning.plan import make_plan
from bistil_ray.planning.step import Step
from bistil_ray.steps.context import LocalContext
from bistil_ray.steps.local import run_here
from bistil_ray.steps.run import make_job, run_step

CHANGES = {"open", "os.rename", "os.mkdir", "os.remove", "os.rmdir", "shutil.rmtree"}
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
SLOW = ("task-teacher", "distil", "finetune")
KINDS = ("pack", *(pytest.param(kind, marks=pytest.mark.slow) for kind in SLOW))
CHANGING = ("seconds", "started", "finished", "latency_ms", "time")


class Dead(BaseException):
    """The process is gone."""


class Watch:
    """Counts what a step changes below a folder; from the change numbered ``last`` on, none is let through."""

    def __init__(self) -> None:
        self.folder, self.last, self.seen = "", 0, 0

    def __call__(self, event: str, args: tuple[Any, ...]) -> None:
        """Be told by Python of what is about to be done."""
        if not self.folder or event not in CHANGES or not str(args[0]).startswith(self.folder):
            return
        if event == "open" and not args[2] & WRITES:
            return
        self.seen += 1
        if self.last and self.seen >= self.last:
            raise Dead

    @contextmanager
    def over(self, folder: Path, last: int = 0) -> Iterator[None]:
        """Watch a folder."""
        self.folder, self.last, self.seen = str(folder), last, 0
        try:
            yield
        finally:
            self.folder = ""


@pytest.fixture(scope="module")
def watch() -> Watch:
    """A watch that is told of everything: Python knows no way to take it off again, so it rests outside of tests."""
    watch = Watch()
    sys.addaudithook(watch)
    return watch


@pytest.fixture(scope="module")
def finished(
    tiny_settings: dict[str, Any], bert_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, Step], Path]:
    """The steps to one student by kind, and where they were carried out undisturbed."""
    changes = ("distil.steps=2", "distil.evaluations=1", "teach.epochs=0.7", "finetune.dense_epochs=0.7")
    config = load_config(
        None, (*changes, "finetune.sparse_epochs=0.7"), {"teachers": [str(bert_folder)]}, tiny_settings
    )
    plan = make_plan(config, gather_facts(config))
    folder = tmp_path_factory.mktemp("steps")
    run_here(plan, folder)
    return {step.kind: step for step in plan}, folder


def content(folder: Path) -> dict[str, Any]:
    """What a finished step holds: its tensors, arrays and names of files, logs and temporary files left out."""
    found: dict[str, Any] = {}
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = str(file.relative_to(folder))
        if any(part.startswith(".") for part in file.relative_to(folder).parts) or name in ("log.txt", "metrics.jsonl"):
            continue
        found[name] = load_file(file) if file.suffix == ".safetensors" else None
        if file.suffix == ".npy":
            found[name] = {"": torch.from_numpy(np.load(file))}
    return found


def plain(value: Any) -> Any:  # noqa: ANN401
    """A result without what is another in every run."""
    if isinstance(value, dict):
        return {name: plain(part) for name, part in value.items() if name not in CHANGING and name != "model_dir"}
    return value


@pytest.mark.parametrize("kind", KINDS)
def test_a_step_killed_at_any_change_it_makes_is_not_done_and_can_be_run_again(
    kind: str, finished: tuple[dict[str, Step], Path], watch: Watch, tmp_path: Path
) -> None:
    steps, undisturbed = finished
    step = steps[kind]
    for key in step.needs.values():
        (tmp_path / key).symlink_to(undisturbed / key)
    job = make_job(step, tmp_path)
    expected = plain(run_step(make_job(step, undisturbed), LocalContext()))
    files = content(undisturbed / step.key)
    last = 0
    while True:
        last += 1
        with watch.over(job.folder, last):
            try:
                run_step(job, LocalContext())
            except Dead:
                pass
            else:
                break
        assert plain(run_step(job, LocalContext())) == expected
        assert_same(content(job.folder), files)
        shutil.rmtree(job.folder)
    assert last > 10, "the step changes more than that"


def assert_same(found: dict[str, Any], expected: dict[str, Any]) -> None:
    """The same files, and the same bits in their tensors."""
    assert found.keys() == expected.keys()
    for name, tensors in expected.items():
        for key, value in (tensors or {}).items():
            assert torch.equal(found[name][key], value), (name, key)
