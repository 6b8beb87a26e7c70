"""A student of several teachers goes through phase 2 and is scored: each language is split by its own tokenizer."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer, BertConfig, BertForMaskedLM

from bistil_ray.models.language_tokenizers import choose_language, save_tokenizers, tokenizer_for
from bistil_ray.models.loading import load_tokenizer
from bistil_ray.vocab.remapped import remapped_tokenizer
from bistil_ray.vocab.union import unite

Run = Callable[..., Any]
FEW = ("finetune.dense_epochs=1", "finetune.sparse_epochs=1", "finetune.max_length=32", "finetune.batch_size=8")
SETTINGS = tuple(word for setting in FEW for word in ("--set", setting))


@pytest.fixture(scope="module")
def merged(bert_folder: Path, xlmr_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A student of random weights whose English is of one family of tokenizers and whose Swahili of another."""
    folder = tmp_path_factory.mktemp("merged")
    teachers = [load_tokenizer(place) for place in (bert_folder, xlmr_folder)]
    union = unite(teachers)
    shape = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    BertForMaskedLM(BertConfig(vocab_size=union.size, **shape)).save_pretrained(folder)
    own = [remapped_tokenizer(tokenizer, ids, union.size) for tokenizer, ids in zip(teachers, union.maps, strict=True)]
    save_tokenizers(folder, {"en": own[0], "sw": own[1]}, {"en": "A", "sw": "B"}, None)
    return folder


def test_finetune_and_evaluate_pick_the_tokenizer_of_each_language(
    bistil: Run, merged: Path, bert_folder: Path, xlmr_folder: Path, tiny_data: Path, tmp_path: Path
) -> None:
    data = ("--task-data", str(tiny_data / "ner"))
    out = tmp_path / "out"
    tuned = bistil("finetune", "--student", str(merged), *data, "--lang", "sw", "--out", str(out), *SETTINGS)
    assert tuned.code == 0, tuned.stderr
    assert {file.relative_to(out) for file in out.rglob("tokenizer.json")} == {
        Path("tokenizers/en/tokenizer.json"),
        Path("tokenizers/sw/tokenizer.json"),
    }
    text = "Amina anaimba kabla ya usiku."
    assert tokenizer_for(out, "en")(text).tokens() == AutoTokenizer.from_pretrained(bert_folder)(text).tokens()
    assert tokenizer_for(out, "sw")(text).tokens() == AutoTokenizer.from_pretrained(xlmr_folder)(text).tokens()

    scored = bistil("evaluate", str(out), *data, "--langs", "en,sw", "--json")
    assert scored.code == 0, scored.stderr
    score = {row["lang"]: row["score"] for row in json.loads(scored.stdout)}
    assert f"{score['sw']:.3f}" in tuned.stdout, "the score that finetune gave"
    assert bistil("export", str(out), "--out", str(tmp_path / "apart")).code == 0, "with no tokenizer for all"
    assert "A text is split by its language's own tokenizer" in (tmp_path / "apart" / "README.md").read_text()
    choose_language(out, "sw")  # as a sweep does for best/sw
    exported = bistil(
        "export", str(out), *data, "--langs", "en,sw", "--task", "ner", "--out", str(tmp_path / "away"), "--json"
    )
    assert exported.code == 0, exported.stderr
    assert json.loads(exported.stdout)[0]["scores"] == score, "scored as it is read"
    again = bistil("evaluate", str(tmp_path / "away"), *data, "--langs", "en,sw", "--json")
    assert {row["lang"]: row["score"] for row in json.loads(again.stdout)} == score
    refused = bistil("evaluate", str(out), *data, "--langs", "ha")
    assert refused.code == 2 and "no tokenizer for 'ha': it has them for en, sw" in refused.stderr


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (("--lang", "sw", "--teacher", "{teacher}"), "has several teachers, it learns from labels alone: leave out"),
        (("--lang", "sw", "--corpora", "texts"), "it learns from labels alone: leave out --corpora"),
        (("--lang", "sw", "--set", "finetune.max_length=1024"), "finetune.max_length is 1024, but"),
        (("--lang", "ha"), "--student does not know the language 'ha': it knows en, sw"),
        (("--lang", "en", "--source", "sw", "--set", "task_sources=[sw,ha]"), "does not know the language 'ha'"),
    ],
)
def test_mistakes(
    refused: Run, merged: Path, bert_folder: Path, tiny_data: Path, tmp_path: Path, flags: tuple[str, ...], says: str
) -> None:
    places = ("--student", str(merged), "--task-data", str(tiny_data / "ner"), "--out", str(tmp_path / "out"))
    words = (word.format(teacher=bert_folder) for word in flags)
    assert says in refused(command=("finetune", *places, *words))


def test_a_student_of_one_teacher_needs_it(refused: Run, bert_folder: Path, tiny_data: Path, tmp_path: Path) -> None:
    places = ("--student", str(bert_folder), "--task-data", str(tiny_data / "ner"), "--out", str(tmp_path / "out"))
    assert "learns under its teacher: name it (--teacher)" in refused(command=("finetune", *places, *SETTINGS))
