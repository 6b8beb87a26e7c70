"""The vocabulary cut keeps the reference's tokens and gives the ids that were meant to come out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from bistil_ray.vocab.count import count_ids
from bistil_ray.vocab.trim import always_kept_ids, kept_ids, trim_tokenizer

CORPORA = {"source": "trim_source_en.txt", "target": "trim_target_yo.txt"}


@pytest.fixture(scope="module")
def records(golden: Path) -> dict[str, dict[str, Any]]:
    """Every record of the folder by family and setting."""
    return json.loads((golden / "trim" / "trim.json").read_text(encoding="utf-8"))


def cuts(records: dict[str, dict[str, Any]]) -> list[tuple[str, str, dict[str, Any]]]:
    """The records that cut something, with family and setting."""
    found = [(*name.split("/"), record) for name, record in records.items() if not name.endswith("/original")]
    assert found
    return found


def corpus_counts(golden: Path, tokenizer: PreTrainedTokenizerFast) -> dict[str, np.ndarray]:
    """Token counts of the two corpora, a line at a time, without special tokens."""
    counts = {}
    for corpus, file in CORPORA.items():
        lines = (golden / "text" / file).read_text(encoding="utf-8").split("\n")
        encoded = tokenizer(lines, add_special_tokens=False)["input_ids"]
        counts[corpus] = count_ids(np.array([token for ids in encoded for token in ids]), len(tokenizer))
    return counts


def load(golden: Path, family: str) -> PreTrainedTokenizerFast:
    """The whole tokenizer of a family."""
    return AutoTokenizer.from_pretrained(golden / family / "tokenizer")


def test_counts_equal_the_reference(golden: Path, records: dict[str, dict[str, Any]]) -> None:
    for name, record in records.items():
        family, setting = name.split("/")
        if setting == "original":
            counts = corpus_counts(golden, load(golden, family))
            assert counts["source"].tolist() == record["counts_source"], name
            assert counts["target"].tolist() == record["counts_target"], name


def test_kept_ids_equal_the_reference(golden: Path, records: dict[str, dict[str, Any]]) -> None:
    for family, setting, record in cuts(records):
        tokenizer = load(golden, family)
        counts = corpus_counts(golden, tokenizer)
        used = [counts["target"]] if setting.endswith("_targetonly") else list(counts.values())
        kept = kept_ids(used, float(setting.split("_")[0]), always_kept_ids(tokenizer))
        assert kept.tolist() == record["kept_ids"], (family, setting)


def test_named_special_tokens_are_all_that_must_stay(golden: Path, records: dict[str, dict[str, Any]]) -> None:
    for family in {family for family, _, _ in cuts(records)}:
        tokenizer = load(golden, family)
        assert always_kept_ids(tokenizer) == set(tokenizer.all_special_ids)


def test_ids_of_the_sentences_equal_the_intended_ones(
    golden: Path, records: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    sentences = json.loads((golden / "text" / "sentences30.json").read_text(encoding="utf-8"))
    for family, setting, record in cuts(records):
        trimmed = trim_tokenizer(load(golden, family), np.array(record["kept_ids"]))
        trimmed.save_pretrained(tmp_path / family / setting)
        loaded = AutoTokenizer.from_pretrained(tmp_path / family / setting)
        for tokenizer in (trimmed, loaded):
            assert len(tokenizer) == record["n_kept"]
            assert tokenizer(sentences)["input_ids"] == record["ids_intended"], (family, setting)
            assert tokenizer.convert_ids_to_tokens(list(range(len(tokenizer)))) == record["kept_tokens"]


def test_special_ids_equal_the_intended_ones(golden: Path, records: dict[str, dict[str, Any]]) -> None:
    for family, _, record in cuts(records):
        intended = record.get("special_ids_intended") or record["special_ids_with_tokenizer_json"]
        trimmed = trim_tokenizer(load(golden, family), np.array(record["kept_ids"]))
        assert {role: getattr(trimmed, f"{role}_id") for role in intended} == intended
