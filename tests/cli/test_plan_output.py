"""``sweep --plan`` shows what would be done, what it costs and where it goes, and does none of it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from bistil_ray.storage import mark_done

Bistil = Callable[..., tuple[int, str, str]]


@pytest.fixture
def sweep(bistil: Bistil, toy_settings: dict[str, Any], xlmr_folder: Path, tmp_path: Path) -> Bistil:
    """A function planning a sweep of two teachers and three densities, with more flags."""
    settings = {
        **toy_settings,
        "densities": [0.02, 0.08, 0.32],
        "teachers": [*toy_settings["teachers"], str(xlmr_folder)],
    }
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(settings))
    return lambda *flags: bistil("sweep", "--config", str(tmp_path / "mine.yaml"), "--plan", *flags)


def rows(table: str) -> dict[str, list[str]]:
    """The cells of each line of the table by the line's first word."""
    return {line.split()[0]: line.split()[1:] for line in table.splitlines() if re.match(r"[a-z-]+ +\d", line)}


def test_the_table_counts_steps_by_kind(sweep: Bistil, tmp_path: Path) -> None:
    code, out, err = sweep("--name", "mine")
    assert (code, err) == (0, "")
    table = rows(out)
    assert {kind: cells[:2] for kind, cells in table.items()} == {
        "pack": ["2", "0"],
        "task-teacher": ["2", "0"],
        "evaluate": ["2", "0"],
        "distil": ["2", "0"],
        "finetune": ["6", "0"],
        "all": ["14", "0"],
    }
    assert table["distil"][2] == f"{2 * 200_000 * 8 * 32:,}"
    assert table["pack"][2:] == ["-", "-"]
    assert re.search(r"Left: 14 steps, .* FLOPs, roughly .* on \d+ (CPU core|GPU)", out)
    assert f"Steps go to {tmp_path}/runs/steps, results and the best students to {tmp_path}/runs/mine\n" in out


def test_json_is_nothing_but_data(sweep: Bistil, tmp_path: Path) -> None:
    code, out, err = sweep("--name", "mine", "--json")
    assert (code, err) == (0, "")
    data = json.loads(out)
    assert data["by_kind"] == {"pack": 2, "task-teacher": 2, "evaluate": 2, "distil": 2, "finetune": 6}
    assert data["done"] == [] and data["done_by_kind"] == {}
    assert data["tokens"] == data["estimate"]["tokens_left"] == sum(step["tokens"] for step in data["steps"])
    assert data["flops"] == pytest.approx(data["estimate"]["flops_left"])
    assert data["estimate"]["hours"] > 0
    assert (data["storage"], data["run"]) == (str(tmp_path / "runs"), str(tmp_path / "runs" / "mine"))
    assert data["config"]["densities"] == [0.02, 0.08, 0.32]


def test_the_time_on_a_cluster_that_grows_is_that_on_what_it_grows_to(sweep: Bistil) -> None:
    grown = ("--set", "execution.autoscaling=true", "--gpus-per-worker", "1", "--max-parallel", "4")
    estimate = json.loads(sweep("--json", *grown)[1])["estimate"]
    assert (estimate["gpus"], estimate["cpus"]) == (4, 4)
    assert 0 < estimate["hours"] < json.loads(sweep("--json")[1])["estimate"]["hours"]


def test_nothing_is_written(sweep: Bistil, tmp_path: Path) -> None:
    sweep("--name", "mine")
    assert list((tmp_path / "runs").iterdir()) == []


def test_what_is_done_already_is_counted_and_costs_nothing(sweep: Bistil, tmp_path: Path) -> None:
    before = json.loads(sweep("--json")[1])
    finished = [step for step in before["steps"] if step["kind"] in {"pack", "distil"}]
    for step in finished:
        mark_done(tmp_path / "runs" / "steps" / step["key"], {})
    after = json.loads(sweep("--json")[1])
    assert after["done"] == sorted(step["key"] for step in finished)
    assert after["done_by_kind"] == {"pack": 2, "distil": 2}
    assert after["estimate"]["tokens_left"] == before["tokens"] - sum(step["tokens"] for step in finished)
    assert after["estimate"]["hours"] < before["estimate"]["hours"]
    assert rows(sweep()[1])["distil"][:2] == ["2", "2"]
    for step in before["steps"]:
        mark_done(tmp_path / "runs" / "steps" / step["key"], {})
    assert "Nothing is left to do" in sweep()[1]


def test_a_run_without_a_name_is_named_after_what_it_computes(sweep: Bistil) -> None:
    def run(*flags: str) -> str:
        return Path(json.loads(sweep("--json", *flags)[1])["run"]).name

    assert re.fullmatch(r"ner-en-sw-[0-9a-f]{8}", run())
    assert run() == run("--max-parallel", "3") == run("--set", "distil.accumulation=2")
    assert run() != run("--densities", "0.5")


def test_without_data_the_embedded_sample_is_planned_and_said_on_stderr(
    bistil: Bistil, bert_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bistil_ray.sample.generate.packaged_teachers", lambda: {"tiny": bert_folder})
    storage = str(tmp_path / "runs")
    for flags in ((), ("--config", "sample")):
        code, out, err = bistil("sweep", "--langs", "sw,yo,ha", "--storage", storage, "--plan", "--json", *flags)
        assert code == 0
        assert err.startswith("No data or teachers given: using the embedded sample")
        data = json.loads(out)
        assert data["by_kind"] == {"pack": 3, "task-teacher": 1, "evaluate": 3, "distil": 3, "finetune": 9}
        assert (
            data["config"]["distil"]["steps"]
            == yaml.safe_load(bistil("configs", "show", "sample")[1])["distil"]["steps"]
        )
    assert "embedded sample" in bistil("sweep", "--langs", "sw", "--storage", storage, "--plan")[1]
