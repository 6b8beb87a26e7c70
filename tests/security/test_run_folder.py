"""Of a run that somebody else made nothing is read but its own files and its steps'."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from bistil_ray.cli.main import main
from bistil_ray.dashboard.files import open_run_files
from bistil_ray.dashboard.gather import RunReader
from bistil_ray.dashboard.page import write_report
from bistil_ray.errors import StorageError

MakeRun = Callable[..., Path]


@pytest.mark.parametrize("name", ["config.yaml", "results.jsonl", "status.json", "plan.json"])
def test_a_link_that_leads_elsewhere_is_not_followed(name: str, make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run(tmp_path / "runs", done=9)
    secret = tmp_path / "secret"
    secret.write_text(json.dumps({"private": "words"}))
    (run / name).unlink(missing_ok=True)
    (run / name).symlink_to(secret)
    write_report(run, tmp_path / "report.html")
    assert "private" not in (tmp_path / "report.html").read_text().split("plotly.js v")[0]


def test_links_to_the_run_and_to_its_steps_are_followed(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run(tmp_path / "runs")
    whole = RunReader(open_run_files(str(run))).read()
    (tmp_path / "disk").mkdir()
    (run.parent / "steps").rename(tmp_path / "disk" / "steps")
    (run.parent / "steps").symlink_to(tmp_path / "disk" / "steps")
    (tmp_path / "latest").symlink_to(run)
    assert RunReader(open_run_files(str(run))).read().states == whole.states
    assert RunReader(open_run_files(str(tmp_path / "latest"))).read().records == whole.records


@pytest.mark.parametrize("key", ["../../outside", "/etc", "..", "a/b", ""])
def test_a_plan_names_no_folder_but_those_of_steps(key: str, make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run(tmp_path, done=9)
    plan = json.loads((run / "plan.json").read_text())
    plan["steps"][0]["key"] = key
    (run / "plan.json").write_text(json.dumps(plan))
    with pytest.raises(StorageError, match=r"plan\.json is not what a sweep writes: steps\.0\.key"):
        RunReader(open_run_files(str(run))).read()


@pytest.mark.parametrize("out", ["..", "../kept", "."])
def test_a_page_takes_the_place_of_no_folder(
    out: str, make_run: MakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = make_run(tmp_path / "runs")
    for folder in ("here", "kept"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "mine").touch()
    monkeypatch.chdir(tmp_path / "here")
    before = sorted(tmp_path.rglob("*"))
    assert main(["dashboard", str(run), "--out", out]) == 2
    assert "folder" in capsys.readouterr().err
    assert sorted(tmp_path.rglob("*")) == before
