"""Of a large corpus a part is packed, drawn from all of it; whatever is left out is neither counted nor tokenised."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bistil_ray.errors import ModelError
from bistil_ray.inputs import look_at_corpus, look_at_tokenizer
from bistil_ray.planning.text_steps import pack_step
from bistil_ray.settings import Packing, Vocabulary
from bistil_ray.steps.local import run_here

GROUPS, DOCUMENTS = 24, 100


def write_corpora(folder: Path, words: list[str]) -> Path:
    """English of a few documents; Swahili of 2.4 MB in row groups, each of which says one word of its own."""
    chance = random.Random(0)
    english = [" ".join(chance.choices(words[:50], k=40)) for _ in range(200)]
    pq.write_table(pa.table({"text": english}), folder / "en.parquet")
    texts = [
        " ".join([*chance.choices(words[:50], k=200), words[50 + group]])
        for group in range(GROUPS)
        for _ in range(DOCUMENTS)
    ]
    pq.write_table(pa.table({"text": texts}), folder / "sw.parquet", row_group_size=DOCUMENTS)
    return folder


def packed(corpora: Path, teacher: Path, storage: Path, threshold: float = 1e-6, **settings: Any) -> dict[str, Any]:
    """Pack English and Swahili; give the result, and ``folder``."""
    texts = {lang: look_at_corpus(str(corpora), lang, "text") for lang in ("en", "sw")}
    packing = Packing(length=32, held_out=0.05, **settings)
    vocabulary = Vocabulary(threshold=threshold, keep_characters=True)
    step = pack_step(tuple(texts), "text", vocabulary, packing, look_at_tokenizer(str(teacher)), texts)
    return {**run_here([step], storage)[step.key], "folder": storage / step.key}


def test_of_a_large_corpus_a_part_is_counted_and_packed(bert_folder: Path, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    vocabulary = AutoTokenizer.from_pretrained(bert_folder).get_vocab()
    words = sorted(word for word in vocabulary if word.isalpha() and len(word) > 1)
    assert len(words) > 50 + GROUPS
    corpora = write_corpora(tmp_path, words)
    whole, part = (packed(corpora, bert_folder, tmp_path / f"{most}", max_megabytes=most) for most in (None, 1))
    assert packed(corpora, bert_folder, tmp_path / "much", max_megabytes=50)["languages"] == whole["languages"]

    blocks, most = (result["languages"]["sw"]["blocks"] for result in (part, whole))
    assert 0.3 < blocks / most < 0.6, "1 of some 2.4 MB"
    assert part["languages"]["en"] == whole["languages"]["en"], "a small corpus is packed whole"
    assert part["languages"]["sw"]["held_out_blocks"] > 0
    files = list((part["folder"] / "blocks" / "sw").glob("*.parquet"))
    assert "of sw 1.0 of 3.0 MB are packed (packing.max_megabytes)" in (part["folder"] / "log.txt").read_text()
    own = AutoTokenizer.from_pretrained(part["folder"] / "tokenizer").get_vocab()
    assert sum(word in own for word in words[50 : 50 + GROUPS]) == len(files) < GROUPS, "words of what was drawn"


def test_a_vocabulary_with_gaps_is_not_kept_whole(bert_folder: Path, tmp_path: Path) -> None:
    corpora = write_corpora(tmp_path, [f"word{number}" for number in range(99)])
    folder = shutil.copytree(bert_folder, tmp_path / "teacher")
    file = json.loads((folder / "tokenizer.json").read_text())
    word = next(word for word in file["model"]["vocab"] if word.isalpha())
    gap = file["model"]["vocab"].pop(word)
    (folder / "tokenizer.json").write_text(json.dumps(file))
    assert packed(corpora, folder, tmp_path / "cut")["vocab_size"] > 0
    with pytest.raises(ModelError, match=f"has no token {gap} and cannot be kept whole"):
        packed(corpora, folder, tmp_path / "whole", threshold=0)
