"""Merging teachers of two kinds of vocabulary from the command line, end to end, and the mistakes it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForMaskedLM, AutoTokenizer

from bistil_ray.models.language_tokenizers import tokenizer_for

FEW = ("merge.steps=4", "merge.batch_size=4", "packing.length=16", "packing.held_out=0.1", "merge.evaluations=2")
SMALL = ("--layers", "1", "--hidden", "16", "--top-k", "3")
SETTINGS = tuple(word for setting in FEW for word in ("--set", setting))

Run = Callable[..., Any]


@pytest.fixture
def merge(bistil: Run, tiny_data: Path, tmp_path: Path) -> Callable[..., Path]:
    """A function merging teachers: ``merge("en=A,sw=B", *flags)`` gives the student's folder."""

    def run(teachers: str, *flags: str) -> Path:
        places = ("--corpora", str(tiny_data / "corpora"), "--out", str(tmp_path / "out"))
        ended = bistil("merge", "--teachers", teachers, *places, *SETTINGS, *flags)
        assert ended.code == 0, ended.stderr
        return tmp_path / "out"

    return run


def test_teachers_of_two_families_give_a_student_with_a_tokenizer_for_each_language(
    merge: Callable[..., Path], bert_folder: Path, xlmr_folder: Path, tiny_data: Path
) -> None:
    out = merge(f"en={bert_folder},sw={xlmr_folder},ha={xlmr_folder}", *SMALL)
    model = AutoModelForMaskedLM.from_pretrained(out)
    assert (model.config.num_hidden_layers, model.config.hidden_size) == (1, 16)
    assert not (out / "tokenizer.json").exists()
    described = json.loads((out / "languages.json").read_text())
    assert described["languages"]["sw"] == {"tokenizer": "tokenizers/sw", "teacher": xlmr_folder.name}
    text = "Amina anaimba kabla ya usiku."
    for lang, teacher in {"en": bert_folder, "sw": xlmr_folder, "ha": xlmr_folder}.items():
        tokenizer = tokenizer_for(out, lang)
        inputs = tokenizer(text, return_tensors="pt")
        assert inputs.tokens() == AutoTokenizer.from_pretrained(teacher)(text).tokens()
        assert torch.isfinite(model(**inputs).logits).all()


def test_teachers_of_one_family_give_a_merged_tokenizer_too(merge: Callable[..., Path], bert_folder: Path) -> None:
    out = merge(f"en={bert_folder},sw={bert_folder}", "--body", str(bert_folder), "--layers", "2")
    model = AutoModelForMaskedLM.from_pretrained(out)
    assert (model.config.num_hidden_layers, model.config.hidden_size) == (2, 32)
    text = "The farmer sings before the night."
    ids = AutoTokenizer.from_pretrained(bert_folder)(text)["input_ids"]
    assert AutoTokenizer.from_pretrained(out)(text)["input_ids"] == ids
    assert tokenizer_for(out, "en")(text)["input_ids"] == ids
