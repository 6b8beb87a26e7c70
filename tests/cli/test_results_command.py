"""``bistil-ray results`` shows a run, whole or half finished, to people and to programs."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bistil_ray.config import to_yaml
from bistil_ray.config_sources import load_config
from bistil_ray.results.records import Record, RecordFile

Bistil = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run of two languages with a teacher and two students."""
    folder = tmp_path / "mine"
    common = {
        "kind": "finetune", "source": "en", "teacher": "big", "layers": 3, "hidden": 48, "task": "ner", "seed": 0,
        "split": "test", "metric": "f1", "params": 1_200_000, "bytes": 4_800_000, "vocab_size": 300,
        "model_dir": "nowhere", "time": "2026-01-01T00:00:00Z",
    }  # fmt: skip
    for step, recipe, lang, score, valid in [
        ("evaluate-1", "teacher", "sw", 0.8, None),
        ("finetune-1", "bistil", "sw", 0.6, 0.5),
        ("finetune-2", "bistil", "yo", 0.4, 0.5),
    ]:
        values = {**common, "step": step, "recipe": recipe, "lang": lang, "score": score, "validation_score": valid}
        RecordFile(folder / "results.jsonl").append(Record.model_validate(values))
    return folder


def test_the_table_has_a_line_for_each_record_and_marks_the_best(bistil: Bistil, run: Path) -> None:
    code, out, err = bistil("results", str(run))
    lines = out.splitlines()
    assert (code, err) == (0, "")
    assert len(lines) == 4
    assert "\x1b" not in out
    assert [line.rstrip().endswith("*") for line in lines[1:]] == [False, True, True]


def test_json_and_csv_are_nothing_but_data(bistil: Bistil, run: Path) -> None:
    _, out, _ = bistil("results", str(run / "results.jsonl"), "--json")
    assert [record["step"] for record in json.loads(out)] == ["evaluate-1", "finetune-1", "finetune-2"]
    _, out, _ = bistil("results", str(run), "--csv", "--lang", "yor")
    assert [row["score"] for row in csv.DictReader(io.StringIO(out))] == ["0.4"]


def test_a_run_without_results_yet_is_no_mistake(bistil: Bistil, tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_text("{}")
    code, out, _ = bistil("results", str(tmp_path))
    assert code == 0
    assert "No step with a score has finished yet" in out
    assert bistil("results", str(tmp_path), "--json")[:2] == (0, "[]\n")


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--json", "--csv"], "exclude each other"),
        (["--compare", ".", "--to-optuna", "sqlite:///a.db"], "--compare and --to-optuna exclude each other"),
        (["--compare", "nowhere"], "no run at 'nowhere'"),
        (["--lang", "ha"], "--lang ha: it has sw, yo"),
        (["--lang", "yb"], "in --lang; did you mean yo (Yoruba)"),
        (["--sort", "size"], "--sort 'size'"),
    ],
)
def test_mistakes_name_the_flag(bistil: Bistil, run: Path, flags: list[str], says: str) -> None:
    code, _, err = bistil("results", str(run), *flags)
    assert code == 2
    assert says in err


@pytest.fixture
def other(run: Path) -> Path:
    """A second run of one language, whose student is worse."""
    folder = run.parent / "other"
    for line in (run / "results.jsonl").read_text().splitlines():
        record = json.loads(line)
        if record["lang"] == "sw":
            RecordFile(folder / "results.jsonl").append(
                Record.model_validate(record | {"score": record["score"] - 0.25})
            )
    return folder


def test_two_runs_are_compared_setting_by_setting(bistil: Bistil, run: Path, other: Path) -> None:
    code, out, err = bistil("results", str(run), "--compare", str(other))
    assert (code, err) == (0, "")
    assert out.splitlines()[:2] == [f"here: {run}", f"there: {other}"]
    (student,) = (line.split() for line in out.splitlines() if line.startswith("sw") and "bistil" in line)
    assert student[-3:] == ["0.600", "0.350", "+0.250"]
    assert "Only here: 1 of 3 settings" in out
    assert out.splitlines()[-1].split() == ["sw", "+0.250"]


def test_a_comparison_is_data_too_and_names_the_settings_that_differ(
    bistil: Bistil, run: Path, other: Path, toy_settings: dict[str, Any]
) -> None:
    for place, steps in ((run, 300), (other, 100)):
        config = load_config(None, [f"distil.steps={steps}"], {}, toy_settings)
        (place / "config.yaml").write_text(to_yaml(config))
    found = json.loads(bistil("results", str(run), "--compare", str(other), "--json")[1])
    assert found["settings"] == ["distil.steps: 100 -> 300"]
    assert found["mean_difference"] == {"sw": pytest.approx(0.25)}
    assert [pair["difference"] is None for pair in found["pairs"]] == [False, False, True]
    table = list(csv.DictReader(io.StringIO(bistil("results", str(run), "--compare", str(other), "--csv")[1])))
    assert [row["there"] == "" for row in table] == [False, False, True]


def test_the_students_become_trials_of_optuna(bistil: Bistil, run: Path) -> None:
    pytest.importorskip("optuna")
    storage = f"sqlite:///{run.parent / 'studies.db'}"
    code, out, _ = bistil("results", str(run), "--to-optuna", storage)
    assert code == 0
    assert [line.split() for line in out.splitlines()[1:3]] == [["mine/ner/sw", "1"], ["mine/ner/yo", "1"]]
    assert json.loads(bistil("results", str(run), "--to-optuna", storage, "--json")[1]) == {
        "mine/ner/sw": 0,
        "mine/ner/yo": 0,
    }
