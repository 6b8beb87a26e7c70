"""MergeDistill step by step: predictions that a kill does not cost, and a student that is as good as its teachers."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from transformers import AutoModelForMaskedLM

from bistil_ray.models.language_tokenizers import tokenizer_for
from bistil_ray.planning.step import Step
from bistil_ray.steps.context import Job, LocalContext
from bistil_ray.steps.local import run_here
from bistil_ray.steps.predicted import PredictionStream
from bistil_ray.steps.predict import prediction_files
from bistil_ray.steps.run import run_step
from bistil_ray.storage import read_result
from bistil_ray.teachers.predictions import Predictor

CIRCLES = {"en": ["farmer", "sings", "night", "children"], "sw": ["mto", "hakuna", "samaki", "usiku"]}
LANGS = tuple(CIRCLES)
COMMON = {"lr": 3e-3, "warmup": 0.0, "clip": 1.0, "precision": "fp32", "batch_size": 8, "seed": 0}
PREDICT = {"length": 16, "mask": 0.2, "top_k": 6, "seed": 0}
MERGE = {
    **COMMON, "languages": list(LANGS), "body": None, "layers": 1, "hidden": 32, "heads": 2, "length": 16, "steps": 60,
    "mlm_weight": 0.0, "rest": False, "evaluations": 1,
}  # fmt: skip


class Killed(Exception):
    """The end of a process, as far as a test can have one."""


def merge(folder: Path, teacher_of: dict[str, Path], **changed: Any) -> dict[str, Any]:
    """Run the step on packs and predictions under ``folder``; their names are those of language and teacher."""
    needs = {f"pack-{lang}": folder / f"pack-{lang}" for lang in LANGS}
    needs |= {f"predict-{lang}": folder / f"predict-{lang}-{teacher_of[lang].name}" for lang in LANGS}
    names = "-".join(place.name for place in teacher_of.values())
    inputs = {f"teacher-{lang}": str(place) for lang, place in teacher_of.items()}
    about = {f"teacher-{lang}": place.name for lang, place in teacher_of.items()}
    at = folder / "-".join(["merge", names, *map(str, changed.values())])
    return run_step(Job("merge", {**MERGE, **changed}, inputs, needs, at, about=about), LocalContext()) | {"at": at}


@pytest.fixture(scope="module")
def work(bert_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Each language packed; ``knows-<lang>``, a teacher that has learned it alone; what each predicts in both.

    A language is four words in a circle, so that its neighbours tell what a masked word is.
    """
    folder = tmp_path_factory.mktemp("merging")
    (folder / "corpora").mkdir()
    for lang, words in CIRCLES.items():
        texts = [" ".join((words * 20)[start : start + 60 + row]) for row in range(10) for start in range(4)]
        pq.write_table(pa.table({"text": texts}), folder / "corpora" / f"{lang}.parquet", row_group_size=20)
    packing = {"column": "text", "threshold": 0, "keep_characters": False, "length": 16, "held_out": 0.1, "seed": 0}
    for lang in LANGS:
        inputs = {"tokenizer": str(bert_folder), lang: str(folder / "corpora")}
        run_step(Job("pack", {"languages": [lang], **packing}, inputs, {}, folder / f"pack-{lang}"), LocalContext())
        shape = {"layers": 1, "hidden": 32, "heads": 2, "steps": 60, "mask": 0.2, "length": 16, "evaluations": 1}
        needs = {"pack": folder / f"pack-{lang}"}
        run_step(Job("pretrain", {**COMMON, **shape}, {}, needs, folder / f"pretrained-{lang}"), LocalContext())
        (folder / f"knows-{lang}").symlink_to(folder / f"pretrained-{lang}" / "model")
    for teacher, text in itertools.product(LANGS, LANGS):
        predict(folder, folder / f"knows-{teacher}", text)
    return folder


def predict(folder: Path, teacher: Path, lang: str) -> Path:
    at = folder / f"predict-{lang}-{teacher.name}"
    job = Job("predict", {"lang": lang, **PREDICT}, {"teacher": str(teacher)}, {"pack": folder / f"pack-{lang}"}, at)
    run_step(job, LocalContext())
    return at


def test_the_student_follows_the_teachers_that_know_their_languages(work: Path) -> None:
    knows = {lang: work / f"knows-{lang}" for lang in LANGS}
    swapped = dict(zip(LANGS, reversed(list(knows.values())), strict=True))
    good, bad = merge(work, knows)["bits_per_character"], merge(work, swapped)["bits_per_character"]
    for lang in LANGS:
        own = read_result(work / f"predict-{lang}-knows-{lang}")["bits_per_character"][lang]
        other = read_result(work / f"predict-{lang}-{swapped[lang].name}")["bits_per_character"][lang]
        print(lang, own, other, good[lang], bad[lang])
        assert own < good[lang] < (own + other) / 2 < bad[lang]
