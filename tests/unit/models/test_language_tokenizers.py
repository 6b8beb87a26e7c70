"""Which tokenizer of a folder a language gets."""

from __future__ import annotations

from pathlib import Path

import pytest
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from bistil_ray.errors import ModelError
from bistil_ray.models.language_tokenizers import (
    choose_language,
    copy_tokenizers,
    save_tokenizers,
    teachers_by_language,
    tokenizer_for,
)


@pytest.fixture(scope="module")
def pair(bert_folder: Path, xlmr_folder: Path) -> tuple[PreTrainedTokenizerFast, PreTrainedTokenizerFast]:
    return AutoTokenizer.from_pretrained(bert_folder), AutoTokenizer.from_pretrained(xlmr_folder)


def test_a_language_gets_its_own(pair: tuple[PreTrainedTokenizerFast, PreTrainedTokenizerFast], tmp_path: Path) -> None:
    save_tokenizers(tmp_path, {"en": pair[0], "sw": pair[1]}, {"en": "A", "sw": "B"}, None)
    assert tokenizer_for(tmp_path, "en").mask_token == "[MASK]"
    assert tokenizer_for(tmp_path, "sw").mask_token == "<mask>"
    with pytest.raises(ModelError, match="no tokenizer for 'ha': it has them for en, sw"):
        tokenizer_for(tmp_path, "ha")


def test_another_language_gets_the_one_for_all(
    pair: tuple[PreTrainedTokenizerFast, PreTrainedTokenizerFast], tmp_path: Path
) -> None:
    save_tokenizers(tmp_path, {"en": pair[0]}, {"en": "A"}, pair[1])
    assert tokenizer_for(tmp_path, "ha").mask_token == "<mask>"
    assert tokenizer_for(tmp_path, "en").mask_token == "[MASK]"


def test_any_other_model_has_one_tokenizer(xlmr_folder: Path) -> None:
    assert tokenizer_for(xlmr_folder, "ha").mask_token == "<mask>"


@pytest.mark.parametrize("with_merged", [False, True])
def test_a_copy_has_the_tokenizers_of_the_original(
    pair: tuple[PreTrainedTokenizerFast, PreTrainedTokenizerFast], tmp_path: Path, with_merged: bool
) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    save_tokenizers(one, {"en": pair[0], "sw": pair[1]}, {"en": "A", "sw": "B"}, pair[1] if with_merged else None)
    other.mkdir()
    copy_tokenizers(one, other)
    files = {file.relative_to(one) for file in one.rglob("*.json")}
    assert {file.relative_to(other) for file in other.rglob("*.json")} == files
    assert all((other / file).read_bytes() == (one / file).read_bytes() for file in files)
    assert teachers_by_language(other) == {"en": "A", "sw": "B"}


def test_a_copy_of_a_model_with_one_tokenizer_has_that(xlmr_folder: Path, tmp_path: Path) -> None:
    copy_tokenizers(xlmr_folder, tmp_path)
    assert AutoTokenizer.from_pretrained(tmp_path).mask_token == "<mask>"
    assert teachers_by_language(tmp_path) == {}
    choose_language(tmp_path, "sw")
    assert tokenizer_for(tmp_path, "sw").mask_token == "<mask>"


def test_a_model_chosen_for_a_language_lies_beside_its_tokenizer(
    pair: tuple[PreTrainedTokenizerFast, PreTrainedTokenizerFast], tmp_path: Path
) -> None:
    save_tokenizers(tmp_path, {"en": pair[0], "sw": pair[1]}, {"en": "A", "sw": "B"}, pair[0])
    choose_language(tmp_path, "sw")
    assert AutoTokenizer.from_pretrained(tmp_path).mask_token == "<mask>"
    assert tokenizer_for(tmp_path, "en").mask_token == "[MASK]"
    with pytest.raises(ModelError, match="no tokenizer for 'ha'"):
        tokenizer_for(tmp_path, "ha")
