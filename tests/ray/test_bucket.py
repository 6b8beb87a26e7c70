"""A sweep whose storage is a bucket leaves everything there, and another machine goes on from it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from bistil_ray.cli.plan_view import plan_data
from bistil_ray.config import RunConfig
from bistil_ray.dashboard.files import open_run_files
from bistil_ray.dashboard.gather import RunReader
from bistil_ray.distributed.sweep import Outcome
from bistil_ray.planning.plan import Plan
from bistil_ray.results.records import read_records
from bistil_ray.run_storage import bring_run, storage_at


def place_of_run(config: RunConfig) -> str:
    return config.storage.replace("/runs?", "/runs/away?")


@pytest.fixture(scope="module")
def in_bucket(
    cluster: None,
    bucket: str,
    plan_of: Callable[..., tuple[RunConfig, Plan]],
    carry_out: Callable[..., Outcome],
) -> tuple[RunConfig, Plan, Outcome]:
    config, plan = plan_of(storage=bucket, langs=["sw"], densities=[0.1])
    return config, plan, carry_out(config, plan, "away")


def test_everything_is_found_in_the_bucket_by_a_machine_without_a_working_copy(
    in_bucket: tuple[RunConfig, Plan, Outcome], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, plan, outcome = in_bucket
    assert not outcome.failed
    monkeypatch.setenv("BISTIL_RAY_CACHE", str(tmp_path))
    elsewhere = storage_at(config.storage)
    planned = plan_data(plan, config, elsewhere.folder / "away")
    assert len(planned["done"]) == len(plan) and planned["run"] == place_of_run(config)
    assert len(elsewhere.finished([f"steps/{step.key}" for step in plan])) == len(plan)
    elsewhere.fetch(["away"])
    run = elsewhere.folder / "away"
    assert {"config.yaml", "plan.json", "results.jsonl", "report.html", "status.json"} <= {
        f.name for f in run.iterdir()
    }
    assert (run / "best" / "sw" / "model.safetensors").is_file()
    student = read_records(run)[-1]
    assert student.model_dir.startswith("s3://bucket/runs/steps/finetune-")
    assert (elsewhere.bring(student.model_dir) / "model.safetensors").is_file()


def test_the_page_of_a_run_in_a_bucket_is_read_from_there(in_bucket: tuple[RunConfig, Plan, Outcome]) -> None:
    whole = RunReader(open_run_files(place_of_run(in_bucket[0]))).read()
    assert {state.state for state in whole.states} == {"done"}
    assert len(whole.records) == 2
    assert whole.curves


def test_results_are_read_from_the_bucket(
    in_bucket: tuple[RunConfig, Plan, Outcome], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BISTIL_RAY_CACHE", str(tmp_path))
    assert read_records(bring_run(place_of_run(in_bucket[0]))) == read_records(in_bucket[2].run)


def test_a_machine_that_comes_later_runs_nothing_again(
    in_bucket: tuple[RunConfig, Plan, Outcome], carry_out: Callable[..., Outcome]
) -> None:
    config, plan, outcome = in_bucket
    before = read_records(outcome.run)
    shutil.rmtree(storage_at(config.storage).folder)
    again = carry_out(config, plan, "away")
    assert set(again.states.values()) == {("done", "")}
    assert read_records(again.run) == before
    assert not list(storage_at(config.storage).folder.glob("steps/*/blocks"))
    told = (again.run / "trackers" / "tensorboard.txt").read_text().split()
    assert told and len(told) == len(set(told)), "trackers are told nothing twice"
