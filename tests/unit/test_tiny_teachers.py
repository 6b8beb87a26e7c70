"""The tiny teachers that other tests train on are whole: they load, and they know their texts."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForMaskedLM, AutoTokenizer


@pytest.mark.parametrize("kind", ["bert_folder", "xlmr_folder"])
def test_model_and_tokenizer_load_and_no_word_is_unknown(
    kind: str, request: pytest.FixtureRequest, toy_texts: dict[str, list[str]]
) -> None:
    folder: Path = request.getfixturevalue(kind)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForMaskedLM.from_pretrained(folder)
    assert len(tokenizer) == model.config.vocab_size
    assert tokenizer.mask_token_id < len(tokenizer)
    batch = tokenizer(toy_texts["en"] + toy_texts["sw"], padding=True, return_tensors="pt")
    assert tokenizer.unk_token_id not in batch["input_ids"]
    assert torch.isfinite(model(**batch).logits).all()
