"""Phase 2 alone, on a student that ``distill`` wrote."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bistil_ray.data.fingerprint import content_fingerprint
from bistil_ray.export.origin import origin_of
from bistil_ray.results.records import Record

Run = Callable[..., Any]
FEW = {"batch_size": 8, "precision": "fp32"}
SHORT = [f"{phase}.{name}={value}" for phase in ("teach", "finetune") for name, value in FEW.items()]
SHORT += ["teach.epochs=1", "finetune.dense_epochs=1", "finetune.sparse_epochs=1"]
SHORT += ["teach.max_length=32", "finetune.max_length=32"]
SETTINGS = tuple(word for setting in SHORT for word in ("--set", setting))


CHOICE = ("--set", "distil.layer_choice=[0,1,3]")


@pytest.fixture
def distilled(bistil: Run, bert_folder: Path, tiny_data: Path, tmp_path: Path) -> Callable[..., Path]:
    """A function making a student in two steps of phase 1."""
    places = (
        "--teacher",
        str(bert_folder),
        "--corpora",
        str(tiny_data / "corpora"),
        "--out",
        str(tmp_path / "student"),
    )
    few = ("distil.steps=2", "distil.batch_size=4", "packing.length=16", "packing.held_out=0.1")

    def make(*flags: str) -> Path:
        ended = bistil("distill", "--lang", "sw", *places, *(word for each in few for word in ("--set", each)), *flags)
        assert ended.code == 0, ended.stderr
        return tmp_path / "student"

    return make


@pytest.fixture
def student(distilled: Callable[..., Path]) -> Path:
    """A student of every second layer."""
    return distilled()


@pytest.fixture
def tuned(bistil: Run, student: Path, bert_folder: Path, tiny_data: Path, tmp_path: Path) -> Callable[..., Record]:
    """A function tuning the student on Swahili into ``tmp_path / "out"``; it gives the record that is printed."""
    places = ("--student", str(student), "--teacher", str(bert_folder), "--task-data", str(tiny_data / "ner"))
    words = ("--lang", "sw", "--out", str(tmp_path / "out"), *SETTINGS, "--json", "--quiet")

    def run(*flags: str) -> Record:
        ended = bistil("finetune", *places, *words, *flags)
        assert (ended.code, ended.stderr) == (0, "")
        return Record.model_validate_json(ended.stdout)

    return run


def test_the_record_is_of_what_was_written_and_the_sft_names_the_student_that_was_given(
    bistil: Run, tuned: Callable[..., Record], student: Path, tiny_data: Path, tmp_path: Path
) -> None:
    record, out = tuned(), tmp_path / "out"
    assert record.model_dir == str(out) and record.teacher_score is not None
    data = ("--task-data", str(tiny_data / "ner"))
    scored = bistil("evaluate", str(out), *data, "--langs", "sw", "--json", "--quiet")
    assert json.loads(scored.stdout)[0]["score"] == record.score
    meta = json.loads((out / "sft" / "sft.json").read_text())
    assert meta["base_model"] == str(student)
    assert meta["base_fingerprint"] == content_fingerprint(str(student))


def test_with_text_of_the_language_it_is_tuned_as_bistil_plus(tuned: Callable[..., Record], tiny_data: Path) -> None:
    assert tuned("--corpora", str(tiny_data / "corpora"), "--set", "packing.length=16").recipe == "bistil+"


def test_a_share_of_text_that_is_given_is_taken(tuned: Callable[..., Record], tiny_data: Path) -> None:
    given = ("--set", "packing.length=16", "--set", "finetune.text_share=0.3")
    assert tuned("--corpora", str(tiny_data / "corpora"), *given).recipe == "bistil"


def test_a_student_learns_from_the_layers_that_it_was_made_of(
    bistil: Run, distilled: Callable[..., Path], bert_folder: Path, tiny_data: Path, tmp_path: Path
) -> None:
    student = distilled(*CHOICE)
    places = ("--student", str(student), "--teacher", str(bert_folder), "--task-data", str(tiny_data / "ner"))
    words = ("finetune", *places, "--lang", "sw", "--out", str(tmp_path / "out"), *SETTINGS)
    assert bistil(*words).code == 0, "it says so itself"
    (student / "student.json").unlink()
    again = (*words, "--out", str(tmp_path / "again"))
    refused = bistil(*again)
    assert refused.code == 2 and "or say which layers: distil.layer_choice=[" in refused.stderr
    assert not list(tmp_path.glob(".again.work/*")), "before any work"
    assert bistil(*again, *CHOICE).code == 0


def test_a_student_of_other_languages_is_refused_and_one_of_another_teacher_noticed(
    bistil: Run, student: Path, bert_folder: Path, tiny_data: Path, tmp_path: Path
) -> None:
    other = shutil.copytree(bert_folder, tmp_path / "other")
    places = ("--student", str(student), "--teacher", str(other), "--task-data", str(tiny_data / "ner"))
    words = ("finetune", *places, "--out", str(tmp_path / "out"), *SETTINGS)
    refused = bistil(*words, "--lang", "yo")
    assert refused.code == 2 and "--student knows en and sw, not 'yo'" in refused.stderr
    tuned = bistil(*words, "--lang", "sw")
    assert tuned.code == 0 and f"the student was made of {bert_folder}, not of {other}" in tuned.stderr


def test_what_was_tuned_alone_is_known_to_export_and_evaluate(
    bistil: Run, tuned: Callable[..., Record], tiny_data: Path, tmp_path: Path
) -> None:
    record = tuned("--set", "label_map.DATE=O")
    origin = origin_of(tmp_path / "out")
    assert origin is not None and origin.record == record and origin.label_map == {"DATE": "O"}
    assert bistil("export", str(tmp_path / "out"), "--out", str(tmp_path / "away")).code == 0
    card = (tmp_path / "away" / "README.md").read_text()
    assert "zero-shot in its language" in card and f"{record.score:.3f}" in card


def test_text_longer_than_the_teacher_reads_is_refused(
    bistil: Run, student: Path, bert_folder: Path, tiny_data: Path, tmp_path: Path
) -> None:
    places = ("--student", str(student), "--teacher", str(bert_folder), "--task-data", str(tiny_data / "ner"))
    text = ("--corpora", str(tiny_data / "corpora"), "--set", "packing.length=500")
    refused = bistil("finetune", *places, *text, "--lang", "sw", "--out", str(tmp_path / "out"), *SETTINGS)
    assert refused.code == 2 and "packing.length is 500, but" in refused.stderr
