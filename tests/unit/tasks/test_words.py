"""Sentences of words: each word is found again among the ids, in every family of tokenizers."""

from __future__ import annotations

import pytest
from transformers import PreTrainedTokenizerFast

from bistil_ray.models.loading import load_tokenizer
from bistil_ray.tasks.words import encode_words, first_places


def test_ids_know_their_words_and_markers_know_none(tokenizer: PreTrainedTokenizerFast) -> None:
    ids, words = encode_words(tokenizer, [["inawaƙa", "kọ."], ["wa"]], 20)
    assert tokenizer.convert_ids_to_tokens(ids[0]) == ["[CLS]", "ina", "##waƙa", "kọ", ".", "[SEP]"]
    assert words == [[None, 0, 0, 1, 1, None], [None, 0, None]]


def test_words_without_sub_words_do_not_occur(tokenizer: PreTrainedTokenizerFast) -> None:
    _, words = encode_words(tokenizer, [["", "wa", "\u200b", "kọ"], ["", ""]], 20)
    assert words == [[None, 1, 3, None], [None, None]]
    assert first_places(words[0], 4) == [-1, 1, -1, 2] and first_places(words[1], 2) == [-1, -1]


def test_words_beyond_the_maximal_length_are_cut_off(tokenizer: PreTrainedTokenizerFast) -> None:
    ids, words = encode_words(tokenizer, [["wa"] * 9, ["wa"]], 6)
    assert [len(row) for row in ids] == [6, 3]
    assert first_places(words[0], 9) == [1, 2, 3, 4, -1, -1, -1, -1, -1]


def test_the_tokenizer_does_not_stay_set_to_cutting(tokenizer: PreTrainedTokenizerFast) -> None:
    encode_words(tokenizer, [["wa"] * 9], 6)
    assert tokenizer.backend_tokenizer.truncation is None


def test_a_word_is_split_as_in_running_text_by_byte_level_vocabularies(
    byte_level_tokenizer: PreTrainedTokenizerFast,
) -> None:
    running = byte_level_tokenizer(" hello world")["input_ids"]
    ids, words = encode_words(byte_level_tokenizer, [["hello", "world"]], 20)
    assert ids == [running]
    assert first_places(words[0], 2)[1] == running.index(byte_level_tokenizer.convert_tokens_to_ids("Ġworld"))


@pytest.mark.parametrize("family", ["bert_folder", "xlmr_folder"])
def test_words_keep_their_places_in_every_family(
    family: str, toy_texts: dict[str, list[str]], request: pytest.FixtureRequest
) -> None:
    tokenizer = load_tokenizer(request.getfixturevalue(family))
    texts = [text.split() for text in toy_texts["sw"]]
    for words, row, of_word in zip(texts, *encode_words(tokenizer, texts, 100), strict=True):
        first = first_places(of_word, len(words))
        assert first[0] == 1 and first == sorted(first)
        pieces = [row[start:end] for start, end in zip(first, [*first[1:], len(row) - 1], strict=True)]
        assert pieces == [tokenizer(word, add_special_tokens=False)["input_ids"] for word in words]
