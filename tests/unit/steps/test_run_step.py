"""A step is run once, and only one that came to its end is finished."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bistil_ray.steps import run as running
from bistil_ray.steps.context import Context, Job, LocalContext
from bistil_ray.steps.run import make_job, run_step
from bistil_ray.storage import is_done, read_result


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job("pack", {}, {}, {}, tmp_path / "pack-1", about={"lang": "sw"})


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[Job]:
    """The jobs that were really run; each reports twice, keeps a checkpoint and gives a number."""
    seen: list[Job] = []

    def work(job: Job, context: Context) -> dict[str, Any]:
        seen.append(job)
        context.report({"step": 1, "tokens": 8})
        context.report({"step": 2, "tokens": 16})
        (job.folder / "checkpoints").mkdir()
        return {"number": 42}

    monkeypatch.setattr(running, "_runner", lambda kind: work)
    return seen


def test_the_result_is_stored_with_what_the_step_is_about(job: Job, calls: list[Job]) -> None:
    result = run_step(job, LocalContext())
    assert result["number"] == 42
    assert (result["kind"], result["about"]) == ("pack", {"lang": "sw"})
    assert result["started"] <= result["finished"]
    assert read_result(job.folder) == result
    assert is_done(job.folder)


def test_a_finished_step_gives_its_result_and_is_not_run_again(job: Job, calls: list[Job]) -> None:
    first = run_step(job, LocalContext())
    files = {path: path.stat().st_mtime_ns for path in job.folder.rglob("*")}
    assert run_step(job, LocalContext()) == first
    assert len(calls) == 1
    assert {path: path.stat().st_mtime_ns for path in job.folder.rglob("*")} == files


def test_metrics_are_passed_on_and_kept(job: Job, calls: list[Job]) -> None:
    told: list[dict[str, Any]] = []
    run_step(job, LocalContext(told.append))
    kept = [json.loads(line) for line in (job.folder / "metrics.jsonl").read_text().splitlines()]
    assert [(line["step"], line["tokens"]) for line in kept] == [(1, 8), (2, 16)]
    assert [line["step"] for line in told] == [1, 2]


def test_checkpoints_of_a_finished_step_are_removed(job: Job, calls: list[Job]) -> None:
    run_step(job, LocalContext())
    assert not (job.folder / "checkpoints").exists()


def test_a_step_that_fails_is_not_finished_and_can_be_run_again(
    job: Job, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    def fail(job: Job, context: Context) -> dict[str, Any]:
        (job.folder / "checkpoints").mkdir()
        raise RuntimeError("out of luck")

    monkeypatch.setattr(running, "_runner", lambda kind: fail)
    with pytest.raises(RuntimeError, match="out of luck"):
        run_step(job, LocalContext())
    assert not is_done(job.folder)
    assert (job.folder / "checkpoints").exists(), "what was reached is kept"
    (job.folder / "checkpoints").rmdir()
    request.getfixturevalue("calls")
    assert run_step(job, LocalContext())["number"] == 42


def test_other_ranks_run_the_step_and_write_nothing(
    job: Job, calls: list[Job], make_rank: Callable[[int, int], Context]
) -> None:
    run_step(job, make_rank(1, 2))
    assert len(calls) == 1
    assert not is_done(job.folder)
    assert not (job.folder / "metrics.jsonl").exists()


def test_every_kind_of_step_has_a_runner() -> None:
    from bistil_ray.planning.step import VERSIONS

    for kind in VERSIONS:
        assert callable(running._runner(kind))


def test_a_job_knows_its_folders(tmp_path: Path) -> None:
    from bistil_ray.planning.step import Step

    step = Step("distil", {"lr": 1}, {"teacher": "t"}, {"pack": "pack-9"}, "abc", {"lang": "sw"}, {"accumulation": 1})
    job = make_job(step, tmp_path)
    assert (job.folder, job.needs) == (tmp_path / "distil-abc", {"pack": tmp_path / "pack-9"})
    assert job.trains
    assert not make_job(Step("pack", {}, {}, {}, "x", {}), tmp_path).trains
