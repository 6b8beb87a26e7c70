"""Phase 2 alone, on a student that ``distill`` wrote."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bistil_ray.data.fingerprint import content_fingerprint
from bistil_ray.results.records import Record

Run = Callable[..., Any]
FEW = {"batch_size": 8, "precision": "fp32"}
SHORT = [f"{phase}.{name}={value}" for phase in ("teach", "finetune") for name, value in FEW.items()]
SHORT += ["teach.epochs=1", "finetune.dense_epochs=1", "finetune.sparse_epochs=1"]
SHORT += ["teach.max_length=32", "finetune.max_length=32"]
SETTINGS = tuple(word for setting in SHORT for word in ("--set", setting))


@pytest.fixture
def student(bistil: Run, bert_folder: Path, tiny_data: Path, tmp_path: Path) -> Path:
    """A student of two steps of phase 1."""
    places = (
        "--teacher",
        str(bert_folder),
        "--corpora",
        str(tiny_data / "corpora"),
        "--out",
        str(tmp_path / "student"),
    )
    few = ("distil.steps=2", "distil.batch_size=4", "packing.length=16", "packing.held_out=0.1")
    ended = bistil("distill", "--lang", "sw", *places, *(word for each in few for word in ("--set", each)))
    assert ended.code == 0, ended.stderr
    return tmp_path / "student"


def test_the_record_is_of_what_was_written_and_the_sft_names_the_student_that_was_given(
    bistil: Run, student: Path, bert_folder: Path, tiny_data: Path, tmp_path: Path
) -> None:
    data, out = ("--task-data", str(tiny_data / "ner")), tmp_path / "out"
    tuned = bistil(
        "finetune", "--student", str(student), "--teacher", str(bert_folder), *data, "--lang", "sw",
        "--out", str(out), *SETTINGS, "--json", "--quiet",
    )  # fmt: skip
    assert (tuned.code, tuned.stderr) == (0, "")
    record = Record.model_validate_json(tuned.stdout)
    assert record.model_dir == str(out) and record.teacher_score is not None
    scored = bistil("evaluate", str(out), *data, "--langs", "sw", "--json", "--quiet")
    assert json.loads(scored.stdout)[0]["score"] == record.score
    meta = json.loads((out / "sft" / "sft.json").read_text())
    assert meta["base_model"] == str(student)
    assert meta["base_fingerprint"] == content_fingerprint(str(student))
