"""A run is read as it stands, from files alone, wherever it lies, however it was left."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from bistil_ray.dashboard.contents import page_data
from bistil_ray.dashboard.files import open_run_files
from bistil_ray.dashboard.gather import RunReader
from bistil_ray.errors import StorageError
from tests.made_up_record import make_record

MakeRun = Callable[..., Path]


def test_a_whole_run_is_told_whole(make_run: MakeRun, tmp_path: Path) -> None:
    data = page_data(RunReader(open_run_files(str(make_run(tmp_path)))).read())
    assert data["counts"]["done"] == data["steps"]["rows"] == 2 + 2 + 4 + 4 + 12
    assert data["records"]["rows"] == 4 + 12
    assert data["run"]["languages"] == {"sw": "Swahili", "yo": "Yoruba", "en": "English"}
    assert data["seconds_left"] == 0
    json.dumps(data, allow_nan=False)


def test_a_student_of_several_teachers_is_told_with_its_assignment(make_run: MakeRun, tmp_path: Path) -> None:
    about = {"languages": "en-sw", "teacher-en": "A", "teacher-sw": "B", "layers": 2, "seed": 0}
    tuned = {"lang": "sw", "teacher": "B", "assignment": "en=A,sw=B", "recipe": "mergedistill"}
    steps = [
        {"key": "merge-1", "kind": "merge", "about": about, "tokens": 900},
        {"key": "evaluate-1", "kind": "evaluate", "about": tuned, "needs": {"student": "merge-1"}},
        {"key": "predict-1", "kind": "predict", "about": {"lang": "sw", "teacher": "B"}},
    ]
    run = make_run(tmp_path, langs=["sw"])
    record = make_record("evaluate-1", kind="evaluate", **tuned)
    (run / "results.jsonl").write_text(record.model_dump_json() + "\n")
    for plan in ({"steps": steps}, None):
        (run / "plan.json").write_text(json.dumps(plan)) if plan else (run / "plan.json").unlink()
        data = page_data(RunReader(open_run_files(str(run))).read())
        assert data["records"]["columns"]["assignment"] == {"all": "en=A,sw=B"}
        told = data["steps"]["columns"]["assignment"]
        assert told == ({"each": ["en=A,sw=B", "en=A,sw=B", None]} if plan else {"all": "en=A,sw=B"})


def test_the_page_shows_what_the_plan_has(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run(tmp_path)
    before = RunReader(open_run_files(str(run))).read().records
    with (run / "results.jsonl").open("a") as file:
        file.write(make_record("finetune-of-earlier-data").model_dump_json() + "\n")
    assert RunReader(open_run_files(str(run))).read().records == before


def test_a_run_under_way_is_told_as_far_as_it_is(make_run: MakeRun, tmp_path: Path) -> None:
    reader = RunReader(open_run_files(str(make_run(tmp_path, done=9))))
    state = reader.read()
    by_state = {step.key: step for step in state.states}
    failed = [step for step in state.states if step.state == "failed"]
    assert [(step.kind, step.reason) for step in failed] == [("finetune", "the loss is not a number")]
    running = [step for step in state.states if step.state == "running"]
    assert [step.tokens for step in running] == [1200, 1200]
    assert len(state.records) == 4
    assert all(by_state[key].state in ("done", "running") for key in state.curves)


def test_a_step_that_ends_is_seen_at_the_next_look(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run(tmp_path, done=9)
    reader = RunReader(open_run_files(str(run)))
    running = next(step for step in reader.read().states if step.state == "running")
    folder = run.parent / "steps" / running.key
    (folder / "result.json").write_text(json.dumps({"started": 1.0, "finished": 3.0}))
    assert {step.key: step.state for step in reader.read().states}[running.key] == "running"
    (folder / "DONE").write_text("")
    assert {step.key: step.seconds for step in reader.read().states}[running.key] == 2.0


def test_a_finished_step_is_read_once(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run(tmp_path)
    reader = RunReader(open_run_files(str(run)))
    before = reader.read()
    for path in (run.parent / "steps").rglob("*.json*"):
        path.write_text("gone")
    assert reader.read().states == before.states
    assert reader.read().curves == before.curves


@pytest.mark.parametrize("left", [["results.jsonl"], ["plan.json"], ["config.yaml"], ["plan.json", "config.yaml"]])
def test_any_file_that_marks_a_run_is_enough(make_run: MakeRun, tmp_path: Path, left: list[str]) -> None:
    run = make_run(tmp_path)
    for path in run.iterdir():
        if path.name not in left:
            path.unlink()
    data = page_data(RunReader(open_run_files(str(run))).read())
    assert data["records"]["rows"] == (16 if "results.jsonl" in left else 0)
    assert data["steps"]["rows"] == (16 if left == ["results.jsonl"] else 24 if "plan.json" in left else 0)


def test_torn_and_broken_files_are_no_reason_to_show_nothing(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run(tmp_path, done=9)
    for path in (run / "status.json", *run.parent.glob("steps/*/metrics.jsonl"), run / "results.jsonl"):
        path.write_text(path.read_text()[:-20])
    state = RunReader(open_run_files(str(run))).read()
    assert len(state.records) == 3
    assert {step.state for step in state.states} == {"done", "waiting"}


def test_a_run_lies_in_any_file_system(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run(tmp_path)
    files = open_run_files(f"file://{run}/results.jsonl")
    assert (files.name, files.run, files.steps) == ("made-up", str(run), str(run.parent / "steps"))
    assert len(RunReader(files).read().records) == 16


def test_no_run_is_a_mistake_that_says_so(tmp_path: Path) -> None:
    for place in (str(tmp_path / "nowhere"), f"file://{tmp_path}"):
        with pytest.raises(StorageError, match="run"):
            open_run_files(place)
