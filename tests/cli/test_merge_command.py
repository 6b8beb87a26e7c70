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
from bistil_ray.vocab.union import ROLES

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


def test_what_student_and_teachers_make_of_each_language_is_printed_as_data(
    bistil: Run, bert_folder: Path, tiny_data: Path, tmp_path: Path
) -> None:
    places = ("--corpora", str(tiny_data / "corpora"), "--out", str(tmp_path / "out"), "--json")
    ended = bistil("merge", "--teachers", f"en={bert_folder},sw={bert_folder}", *places, *SMALL, *SETTINGS)
    assert ended.code == 0, ended.stderr
    rows = json.loads(ended.stdout)
    assert [(row["lang"], row["teacher"]) for row in rows] == [("en", bert_folder.name), ("sw", bert_folder.name)]
    assert all(row["teacher_bits_per_character"] > 0 and row["bits_per_character"] > 0 for row in rows)


def test_teachers_of_one_family_give_a_merged_tokenizer_too(merge: Callable[..., Path], bert_folder: Path) -> None:
    out = merge(f"en={bert_folder},sw={bert_folder}", "--body", str(bert_folder), "--layers", "2")
    model = AutoModelForMaskedLM.from_pretrained(out)
    assert (model.config.num_hidden_layers, model.config.hidden_size) == (2, 32)
    text = "The farmer sings before the night."
    ids = AutoTokenizer.from_pretrained(bert_folder)(text)["input_ids"]
    assert AutoTokenizer.from_pretrained(out)(text)["input_ids"] == ids
    assert tokenizer_for(out, "en")(text)["input_ids"] == ids


@pytest.mark.parametrize("trimmed_before", [False, True])
def test_rare_tokens_are_left_out_by_a_threshold_or_by_trimming_the_teachers_before(
    merge: Callable[..., Path], bistil: Run, bert_folder: Path, xlmr_folder: Path, tiny_data: Path, tmp_path: Path,
    trimmed_before: bool,
) -> None:  # fmt: skip
    teachers, cut = {"en": bert_folder, "sw": xlmr_folder}, ("--threshold", "0.01")
    whole = sum(len(AutoTokenizer.from_pretrained(teacher)) for teacher in teachers.values()) - len(ROLES)
    if trimmed_before:
        for lang, teacher in teachers.items():
            teachers[lang] = tmp_path / f"trimmed-{lang}"
            places = ("--corpora", str(tiny_data / "corpora"), "--out", str(teachers[lang]))
            ended = bistil("trim", "--teacher", str(teacher), "--langs", lang, *places, *cut)
            assert ended.code == 0, ended.stderr
        cut = ()
    out = merge(",".join(f"{lang}={teacher}" for lang, teacher in teachers.items()), *SMALL, *cut)
    model = AutoModelForMaskedLM.from_pretrained(out)
    assert model.config.vocab_size < whole / 2
    for lang in teachers:
        inputs = tokenizer_for(out, lang)("Amina sings 日本 before kabla ya usiku.", return_tensors="pt")
        assert inputs["input_ids"].max() < model.config.vocab_size
        assert torch.isfinite(model(**inputs).logits).all()


@pytest.mark.parametrize(
    ("teachers", "flags", "says"),
    [
        ("en={teacher},sw", (), "--teachers has 'sw': give each language its teacher"),
        ("en={teacher},sw=", (), "--teachers has 'sw='"),
        (",", (), "--teachers is ',': name at least one"),
        ("en={teacher},en={teacher}", (), "--teachers gives 'en' two teachers"),
        ("en={teacher},swahli={teacher}", (), "unknown language 'swahli'"),
        ("en=no/such/folder", (), "--teachers 'no/such/folder'"),
        ("en={teacher},ha={teacher}", (), "no corpus for language 'ha'"),
        ("en={teacher}", ("--set", "packing.length=256"), "packing.length is 256, but"),
        ("en={teacher}", ("--top-k", "100000"), "merge.top_k is 100000, but"),
        ("en={teacher}", ("--top-k", "0"), "--top-k is 0"),
        ("en={teacher}", ("--threshold", "1.5"), "--threshold is 1.5"),
        ("en={teacher}", ("--set", "merge.mlm_weight=1.5"), "merge.mlm_weight is 1.5"),
        ("en={teacher}", ("--set", "merge.rest=true", "--set", "merge.kept=drawn"), "merge.rest is true, but"),
        ("en={teacher}", ("--body", "elsewhere"), "--body 'elsewhere' is none of --teachers"),
        ("en={teacher}", ("--body", "{teacher}", "--hidden", "16"), "leave out --hidden or --body"),
        ("en={teacher}", ("--body", "{teacher}", "--layers", "3"), "a student of 3 layers cannot be cut"),
        ("en={teacher}", ("--body", "{name}", "--layers", "3"), "a student of 3 layers cannot be cut"),
    ],
)
def test_mistakes(
    refused: Run, toy_settings: dict[str, Any], tmp_path: Path, teachers: str, flags: tuple[str, ...], says: str
) -> None:
    teacher = toy_settings["teachers"][0]
    places = ("--corpora", toy_settings["corpora"], "--out", str(tmp_path / "out"), "--set", "packing.length=32")
    words = (
        word.format(teacher=teacher, name=Path(teacher).name)
        for word in ("merge", "--teachers", teachers, *places, *flags)
    )
    assert says in refused(command=tuple(words))
