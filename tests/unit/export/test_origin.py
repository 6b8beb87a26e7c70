"""A model's record is found where runs leave models, and nowhere else."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from bistil_ray.config import RunConfig, to_yaml
from bistil_ray.export.origin import Origin, origin_of
from bistil_ray.results.records import Record, RecordFile

CONFIG = RunConfig(langs=("sw",), teachers=("Davlan/afro-xlmr",), corpora="texts/", task_data="ner/")


@pytest.fixture
def storage(tmp_path: Path, records: Sequence[Record]) -> Path:
    for record in records:
        RecordFile(tmp_path / "mine" / "results.jsonl").append(record)
    (tmp_path / "mine" / "config.yaml").write_text(to_yaml(CONFIG))
    return tmp_path


def test_the_best_student_has_the_record_that_was_chosen(storage: Path, records: Sequence[Record]) -> None:
    assert origin_of(storage / "mine" / "best" / "sw") == Origin(records[1], records, CONFIG)
    assert origin_of(storage / "mine" / "best" / "yo") is None


def test_a_better_student_that_is_not_copied_yet_lends_its_record_to_nobody(
    storage: Path, records: Sequence[Record]
) -> None:
    copied = storage / "mine" / "best" / "sw"
    copied.mkdir(parents=True)
    (copied / "README.md").write_text(f"- step `{records[2].step}`, finished in 2026\n")
    assert origin_of(copied) == Origin(records[2], records, CONFIG)


def test_files_of_other_programs_near_a_model_are_not_read(tmp_path: Path) -> None:
    model = tmp_path / "project" / "models" / "mine"
    model.mkdir(parents=True)
    (tmp_path / "project" / "results.jsonl").write_text('{"loss": 1}\n')
    assert origin_of(model) is None


def test_a_step_has_its_own_record_in_the_run_that_holds_it(storage: Path, records: Sequence[Record]) -> None:
    found = origin_of(storage / "steps" / "finetune-2" / "model")
    assert found == Origin(records[2], records, CONFIG)
    assert found is not None and not found.is_best
    assert origin_of(storage / "steps" / "distil-9" / "student") is None


def test_a_model_that_other_steps_have_scored_has_their_record(storage: Path, records: Sequence[Record]) -> None:
    scored = records[0].model_copy(update={"model_dir": str(storage / "steps" / "task-teacher-7" / "model")})
    RecordFile(storage / "other" / "results.jsonl").append(scored)
    found = origin_of(storage / "steps" / "task-teacher-7" / "model")
    assert found is not None and found.record == scored


def test_labels_are_renamed_as_in_the_run(records: Sequence[Record]) -> None:
    renaming = CONFIG.model_copy(update={"label_map": {"DATE": "O"}})
    assert Origin(records[1], records, renaming).label_map == {"DATE": "O"}
    assert Origin(records[1], records).label_map == {}, "nothing is known of the run"


@pytest.mark.parametrize("place", ["/model", "/", "/nowhere/best/sw"])
def test_any_other_folder_has_none(place: str) -> None:
    assert origin_of(Path(place)) is None


def test_a_run_without_a_configuration_still_has_records(storage: Path, records: Sequence[Record]) -> None:
    (storage / "mine" / "config.yaml").unlink()
    found = origin_of(storage / "mine" / "best" / "sw")
    assert found == Origin(records[1], records) and found.taught_in == ("en",)


def test_peers_are_the_teacher_and_the_best_of_each_other_recipe(
    records: Sequence[Record],
) -> None:
    worse = records[3].model_copy(update={"step": "finetune-4", "validation_score": 0.1, "score": 0.9})
    elsewhere = records[3].model_copy(update={"step": "finetune-5", "lang": "yo", "validation_score": 1.0})
    stranger = records[0].model_copy(update={"step": "evaluate-2", "teacher": "mbert"})
    run = [*records, worse, elsewhere, stranger]
    assert [peer.step for peer in Origin(records[1], run).peers] == ["evaluate-1", "finetune-3"]
