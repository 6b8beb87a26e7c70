"""MergeDistill step by step: predictions that a kill does not cost, and a student that is as good as its teachers."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from transformers import AutoModelForMaskedLM

from bistil_ray.models.language_tokenizers import tokenizer_for
from bistil_ray.models.loading import load_tokenizer
from bistil_ray.steps.context import Job, LocalContext
from bistil_ray.steps.predict import prediction_files
from bistil_ray.steps.predicted import PredictionStream
from bistil_ray.steps.run import run_step
from bistil_ray.storage import read_result
from bistil_ray.teachers.predictions import Predictor
from bistil_ray.train.phase import Batch
from tests.packed import pack_of

CIRCLES = {"en": ["farmer", "sings", "night", "children"], "sw": ["mto", "hakuna", "samaki", "usiku"]}
LANGS = tuple(CIRCLES)
COMMON = {"lr": 3e-3, "warmup": 0.0, "clip": 1.0, "precision": "fp32", "batch_size": 8, "seed": 0}
PREDICT = {"length": 16, "mask": 0.2, "top_k": 6, "kept": "likeliest", "seed": 0}
MERGE = {
    **COMMON, "languages": list(LANGS), "body": None, "layers": 1, "hidden": 32, "heads": 2, "length": 16, "steps": 150,
    "lr": 1e-2, "mlm_weight": 0.0, "rest": False, "evaluations": 1,
}  # fmt: skip


class Killed(Exception):
    """The end of a process, as far as a test can have one."""


def merge(
    folder: Path, teacher_of: dict[str, Path], runtime: dict[str, Any] | None = None, **changed: Any
) -> dict[str, Any]:
    """Run the step on packs and predictions under ``folder``; their names are those of language and teacher."""
    needs = {f"pack-{lang}": folder / f"pack-{lang}" for lang in LANGS}
    needs |= {f"predict-{lang}": folder / f"predict-{lang}-{teacher_of[lang].name}" for lang in LANGS}
    names = "-".join(place.name for place in teacher_of.values())
    inputs = {f"teacher-{lang}": str(place) for lang, place in teacher_of.items()}
    about = {f"teacher-{lang}": place.name for lang, place in teacher_of.items()}
    at = folder / "-".join(["merge", names, *map(str, [*changed.values(), *(runtime or {}).values()])])
    job = Job("merge", {**MERGE, **changed}, inputs, needs, at, runtime or {}, about)
    return run_step(job, LocalContext()) | {"at": at}


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
    for lang in LANGS:
        needs = {"pack": pack_of(bert_folder, folder / "corpora", lang, folder / f"pack-{lang}")}
        shape = {"layers": 1, "hidden": 32, "heads": 2, "steps": 60, "mask": 0.2, "length": 16, "evaluations": 1}
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
        assert good[lang] < own + (other - own) / 10
        assert bad[lang] > (other + own) / 2


def test_predictions_are_shared_and_a_kill_costs_one_file(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    teacher, kept, done = work / "knows-en", Predictor.predict_file, work / "predict-sw-knows-en"
    files: list[str] = []

    def predict_file(self: Predictor, blocks: Path, target: Path) -> None:
        if len(files) == 1:
            target.with_name(".half").write_text("what a killed process leaves behind")
            raise Killed
        files.append(target.name)
        kept(self, blocks, target)

    whole = {Path(file).name: Path(file).read_bytes() for file in prediction_files(done)}
    assert len(whole) == 2
    again = done.rename(work / "undisturbed")
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(Predictor, "predict_file", predict_file)
        predict(work, teacher, "sw")
    assert [Path(file).name for file in prediction_files(done)] == files
    before = (done / "predictions" / files[0]).stat().st_mtime_ns
    predict(work, teacher, "sw")
    assert (done / "predictions" / files[0]).stat().st_mtime_ns == before
    assert {Path(file).name: Path(file).read_bytes() for file in prediction_files(done)} == whole
    assert read_result(done)["bits_per_character"] == read_result(again)["bits_per_character"]


def test_a_merge_that_is_killed_ends_as_one_that_is_not(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    knows = {lang: work / f"knows-{lang}" for lang in LANGS}
    undisturbed = merge(work, knows, {"checkpoint_minutes": 9.0}, steps=8, seed=1)
    seen = PredictionStream.batches

    def batches(self: PredictionStream, context: LocalContext, start: int, stop: int) -> Iterator[list[Batch]]:
        for step, batch in enumerate(seen(self, context, start, stop), start):
            if step == 5:
                raise Killed
            yield batch

    often = {"checkpoint_minutes": 1e-9}
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(PredictionStream, "batches", batches)
        merge(work, knows, often, steps=8, seed=1)
    resumed = merge(work, knows, often, steps=8, seed=1)
    one, other = (AutoModelForMaskedLM.from_pretrained(run["at"] / "student") for run in (undisturbed, resumed))
    for name, value in one.state_dict().items():
        assert torch.equal(value, other.state_dict()[name]), name


def test_two_ranks_see_one_batch_between_them(work: Path, make_rank: Callable[[int, int], LocalContext]) -> None:
    files = [prediction_files(work / f"predict-{lang}-knows-{lang}") for lang in LANGS]
    stream = PredictionStream(files, [np.arange(1000)] * 2, batch_size=5, micro_batches=2, seed=0)
    whole = list(stream.batches(LocalContext(), 3, 7))
    parts = [list(stream.batches(make_rank(rank, 2), 3, 7)) for rank in range(2)]
    for step, batch in enumerate(whole):
        for name in batch[0]:
            rows = torch.cat([micro[name] for micro in batch])
            assert len(batch) == 2 and len(rows) == 5
            for rank in range(2):
                assert torch.equal(torch.cat([micro[name] for micro in parts[rank][step]]), rows[rank::2])


@pytest.mark.parametrize("changed", [{"rest": True, "mlm_weight": 0.3}, {"mlm_weight": 1.0}])
def test_the_loss_has_the_terms_that_have_a_weight(work: Path, changed: dict[str, Any]) -> None:
    loss = merge(work, {lang: work / f"knows-{lang}" for lang in LANGS}, steps=2, **changed)["loss"]
    assert loss.keys() == ({"mlm", "kl"} if changed["mlm_weight"] < 1 else {"mlm"})


def test_layers_and_ids_of_the_body_are_its_teachers(work: Path, bert_folder: Path) -> None:
    teachers = {"en": work / "knows-en", "sw": work / "knows-sw"}
    result = merge(work, teachers, steps=1, lr=1e-9, body="sw", mlm_weight=0.5)
    student, teacher = (AutoModelForMaskedLM.from_pretrained(at) for at in (result["at"] / "student", teachers["sw"]))
    layer = "bert.encoder.layer.0.attention.self.query.weight"
    assert torch.allclose(student.state_dict()[layer], teacher.state_dict()[layer], atol=1e-6)
    assert (
        tokenizer_for(result["at"] / "student", "en")("farmer")["input_ids"]
        == load_tokenizer(bert_folder)("farmer")["input_ids"]
    )
