"""Students as trials of Optuna studies: one study a language, nothing twice, one space for all trials."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bistil_ray.errors import ConfigError, StorageError
from bistil_ray.results.optuna_study import write_studies
from tests.made_up_record import make_record

optuna = pytest.importorskip("optuna")


@pytest.fixture
def storage(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'studies.db'}"


def test_a_study_holds_the_students_of_a_language_with_settings_score_and_measures(
    storage: str, tmp_path: Path
) -> None:
    records = [
        make_record("teacher", recipe="teacher", density=None, score=0.9),
        make_record("a", score=0.5, retention=0.6, latency_ms=1.5, density=0.02),
        make_record("b", score=0.7, density=0.32, seed=3),
        make_record("c", lang="yo", score=0.1),
    ]
    assert write_studies(records, tmp_path / "mine", storage) == {"mine/ner/sw": 2, "mine/ner/yo": 1}
    study = optuna.load_study(study_name="mine/ner/sw", storage=storage)
    assert study.best_value == 0.7
    assert study.best_params == {
        "teacher": "models/big", "recipe": "bistil", "layers": 3, "hidden": 48, "density": 0.32, "seed": 3,
    }  # fmt: skip
    first = study.trials[0]
    assert first.user_attrs["retention"] == 0.6
    assert (first.user_attrs["bytes"], first.user_attrs["latency_ms"]) == (4_000_000, 1.5)


def test_what_is_there_is_not_added_again_and_what_is_new_is(storage: str, tmp_path: Path) -> None:
    plan = [{"key": name, "about": {"teacher": name, "recipe": "bistil", "density": 0.08}} for name in "ab"]
    (tmp_path / "plan.json").write_text(json.dumps({"steps": plan}))
    records = [make_record("one", teacher="a")]
    name = f"{tmp_path.name}/ner/sw"
    assert write_studies(records, tmp_path, storage) == {name: 1}
    records.append(make_record("two", teacher="b"))
    assert write_studies(records, tmp_path, storage) == {name: 1}
    assert write_studies(records, tmp_path, storage) == {name: 0}
    trials = optuna.load_study(study_name=name, storage=storage).trials
    assert [trial.user_attrs["step"] for trial in trials] == ["one", "two"]
    assert trials[0].distributions == trials[1].distributions, "half a run was of the same space as the whole"


def test_new_choices_begin_a_study_anew_and_no_trial_of_somebody_else_is_lost(storage: str, tmp_path: Path) -> None:
    name = f"{tmp_path.name}/ner/sw"
    records = [make_record("one")]
    write_studies(records, tmp_path, storage)
    records.append(make_record("two", recipe="scratch"))
    assert write_studies(records, tmp_path, storage) == {name: 2}
    trials = optuna.load_study(study_name=name, storage=storage).trials
    assert [trial.user_attrs["step"] for trial in trials] == ["one", "two"]
    optuna.load_study(study_name=name, storage=storage).add_trial(optuna.trial.create_trial(value=1.0))
    with pytest.raises(StorageError, match="trials that are none of its students"):
        write_studies([*records, make_record("three", recipe="bistil+")], tmp_path, storage)


def test_a_database_that_cannot_be_opened_is_told_in_a_line_without_its_password(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'mine.db': must be a database, such as sqlite:///mine.db"):
        write_studies([make_record("a")], tmp_path, "mine.db")
    with pytest.raises(StorageError) as told:
        write_studies([make_record("a")], tmp_path, "nosuch://me:open-sesame@host/db")
    assert "open-sesame" not in str(told.value) and "nosuch://***@host/db" in str(told.value)


def test_without_optuna_it_says_what_to_install(storage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bistil_ray.results.optuna_study.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"needs optuna: pip install 'bistil-ray\[optuna\]'"):
        write_studies([make_record("a")], tmp_path, storage)
