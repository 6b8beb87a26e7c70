"""Which tokenizer of a folder a language gets."""

from __future__ import annotations

from pathlib import Path

import pytest
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from bistil_ray.errors import ModelError
from bistil_ray.models.language_tokenizers import save_tokenizers, tokenizer_for


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
