"""Tokenizers in the ids of a union: the same pieces as before, each at its new id, on disk too."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from transformers import AutoTokenizer, BertTokenizer, PreTrainedTokenizerFast, XLMRobertaTokenizer

from bistil_ray.vocab.remapped import merged_tokenizer, remapped_tokenizer
from bistil_ray.vocab.union import unite

Tokenizers = dict[str, PreTrainedTokenizerFast]
UNKNOWN = ["日本 the ☃ farm", "", "[foreign] <foreign 3> foreign 3"]
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def test_every_text_is_split_as_before(
    tokenizer: PreTrainedTokenizerFast, tokenizers_of_all_kinds: Tokenizers, texts: list[str], tmp_path: Path
) -> None:
    union = unite([tokenizers_of_all_kinds["space_bpe"], tokenizers_of_all_kinds["wordpiece"], tokenizer])
    remapped_tokenizer(tokenizer, union.maps[2], union.size).save_pretrained(tmp_path)
    remapped = AutoTokenizer.from_pretrained(tmp_path)
    masked = [f"{texts[0]} {tokenizer.mask_token} {tokenizer.mask_token}x", " ".join(tokenizer.all_special_tokens)]
    for text in [*texts, *UNKNOWN, *masked]:
        before, after = tokenizer(text), remapped(text)
        assert after.tokens() == before.tokens()
        assert after["input_ids"] == union.maps[2][before["input_ids"]].tolist()
        assert remapped(text, text)["input_ids"] == union.maps[2][tokenizer(text, text)["input_ids"]].tolist()
    for role in ("pad", "mask", "cls", "sep", "unk"):
        old = getattr(tokenizer, f"{role}_token_id")
        assert getattr(remapped, f"{role}_token_id") == (None if old is None else union.maps[2][old])
    assert len(remapped) == union.size


def test_decoding_gives_the_text_back(tokenizers_of_all_kinds: Tokenizers) -> None:
    tokenizer = tokenizers_of_all_kinds["unigram"]
    union = unite([tokenizers_of_all_kinds["byte_bpe"], tokenizer])
    remapped = remapped_tokenizer(tokenizer, union.maps[1], union.size)
    ids = remapped("singing farmers")["input_ids"]
    assert remapped.decode(ids, skip_special_tokens=True) == "singing farmers"


@pytest.mark.parametrize(
    ("one", "other"), [("unigram", "wordpiece"), ("byte_bpe", "space_bpe"), ("wordpiece", "with_added_tokens")]
)
def test_one_tokenizer_for_all_only_where_kinds_agree(
    tokenizers_of_all_kinds: Tokenizers, one: str, other: str
) -> None:
    pair = [tokenizers_of_all_kinds[one], tokenizers_of_all_kinds[other]]
    merged = merged_tokenizer(pair, unite(pair))
    assert (merged is not None) == (other == "with_added_tokens")
    if merged is not None:
        assert merged("sing farmland")["input_ids"] == pair[1]("sing farmland")["input_ids"]


def test_merged_with_itself_a_tokenizer_is_itself(tokenizer: PreTrainedTokenizerFast, texts: list[str]) -> None:
    merged = merged_tokenizer([tokenizer, tokenizer], unite([tokenizer, tokenizer]))
    assert merged is not None
    for text in [*texts, *UNKNOWN]:
        assert merged(text)["input_ids"] == tokenizer(text)["input_ids"]


def test_merged_wordpiece_finds_the_longest_piece_of_either() -> None:
    pair = [
        BertTokenizer(vocab={piece: index for index, piece in enumerate([*SPECIAL, *pieces])})
        for pieces in (["farm", "##er", "sing"], ["farmer", "sing", "##s"])
    ]
    merged = merged_tokenizer(pair, unite(pair))
    assert merged is not None
    assert merged.tokenize("farmers sing") == ["farmer", "##s", "sing"]


def test_merged_unigram_takes_the_mean_probability() -> None:
    special = [(token, 0.0) for token in ("<s>", "<pad>", "</s>", "<unk>")]
    letters = [(letter, -9.0) for letter in "▁ab"]
    pair = [
        XLMRobertaTokenizer(vocab=[*special, *pieces, *letters, ("<mask>", 0.0)])
        for pieces in ([("▁ab", -2.0), ("▁a", -3.0)], [("▁a", -4.0), ("▁b", -5.0)])
    ]
    union = unite(pair)
    merged = merged_tokenizer(pair, union)
    assert merged is not None
    scores = dict(json.loads(merged.backend_tokenizer.to_str())["model"]["vocab"])
    assert scores["▁ab"] == pytest.approx(np.log(np.exp(-2.0) / 2))
    assert scores["▁a"] == pytest.approx(np.log((np.exp(-3.0) + np.exp(-4.0)) / 2))
    assert merged.tokenize("ab b") == ["▁ab", "▁b"]
