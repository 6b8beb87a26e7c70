"""Which tokens stay: frequent in one corpus, special, or (asked for) single characters."""

from __future__ import annotations

import numpy as np
import pytest
from transformers import PreTrainedTokenizerFast

from bistil_ray.errors import ConfigError, ModelError
from bistil_ray.vocab.merges import merge_closure
from bistil_ray.vocab.trim import always_kept_ids, id_table, kept_ids, trim_tokenizer

Kinds = dict[str, PreTrainedTokenizerFast]


def test_a_token_frequent_in_one_corpus_stays_and_equality_counts() -> None:
    source, target = np.array([90, 10, 0, 0]), np.array([99, 0, 1, 0])
    assert kept_ids([source, target], 0.1, []).tolist() == [0, 1]
    assert kept_ids([source, target], 0.01, [3]).tolist() == [0, 1, 2, 3]
    assert kept_ids([source, target], 0.011, []).tolist() == [0, 1]


def test_an_empty_corpus_adds_nothing() -> None:
    assert kept_ids([np.zeros(4, dtype=np.int64), np.array([0, 5, 0, 5])], 1e-6, [2]).tolist() == [1, 2, 3]
    assert kept_ids([np.zeros(4, dtype=np.int64)], 1e-6, [2, 0]).tolist() == [0, 2]


@pytest.mark.parametrize("threshold", [-1e-6, 1.5, float("nan")])
def test_a_threshold_that_is_no_share_is_refused(threshold: float) -> None:
    with pytest.raises(ConfigError, match="--threshold"):
        kept_ids([np.array([1, 2])], threshold, [])


def test_the_id_table_gives_ranks_and_marks_dropped_ids() -> None:
    table = id_table(np.array([1, 3, 4]), 6)
    assert table.dtype == np.int64
    assert table.tolist() == [-1, 0, -1, 1, 2, -1]


def test_special_added_and_unknown_tokens_always_stay(tokenizer: PreTrainedTokenizerFast) -> None:
    always = always_kept_ids(tokenizer)
    assert set(tokenizer.all_special_ids) <= always
    assert set(tokenizer.added_tokens_decoder) <= always
    assert set(tokenizer("the night")["input_ids"]) & set(tokenizer.all_special_ids) <= always


def test_added_tokens_that_are_not_special_stay_too(tokenizers_of_all_kinds: Kinds) -> None:
    tokenizer = tokenizers_of_all_kinds["with_added_tokens"]
    names = set(tokenizer.convert_ids_to_tokens(sorted(always_kept_ids(tokenizer))))
    assert {"farmland", "<ent>", "<lang:sw>", "<lang:yo>", "[UNK]", "[MASK]"} <= names


def test_with_characters_kept_nothing_turns_into_unknown(tokenizer: PreTrainedTokenizerFast, texts: list[str]) -> None:
    kept = np.array(sorted(always_kept_ids(tokenizer, keep_characters=True)))
    trimmed = trim_tokenizer(tokenizer, kept)
    for text in texts:
        ids = trimmed(text)["input_ids"]
        assert trimmed.unk_token_id not in ids
        if not tokenizer.decode(tokenizer(text)["input_ids"]).endswith("</w>"):
            assert trimmed.decode(ids) == tokenizer.decode(tokenizer(text)["input_ids"])


def test_all_bytes_of_a_byte_level_vocabulary_are_its_characters(tokenizers_of_all_kinds: Kinds) -> None:
    tokenizer = tokenizers_of_all_kinds["byte_bpe"]
    assert len(always_kept_ids(tokenizer, keep_characters=True) - always_kept_ids(tokenizer)) == 256


def test_the_merge_closure_adds_what_pieces_are_built_from(tokenizers_of_all_kinds: Kinds) -> None:
    tokenizer = tokenizers_of_all_kinds["byte_bpe"]
    whole = tokenizer.convert_tokens_to_ids("Ġsinging")
    assert whole is not None
    closed = merge_closure(tokenizer, np.array([whole]))
    names = tokenizer.convert_ids_to_tokens(closed.tolist())
    assert {"Ġ", "s", "i", "n", "g", "Ġsinging"} <= set(names)
    assert (np.diff(closed) > 0).all()
    assert all(name in "Ġsinging" for name in names)
    assert (merge_closure(tokenizer, closed) == closed).all()


def test_other_kinds_need_no_closure(tokenizers_of_all_kinds: Kinds) -> None:
    kept = np.array([2, 5, 9])
    assert merge_closure(tokenizers_of_all_kinds["wordpiece"], kept) is kept
    assert merge_closure(tokenizers_of_all_kinds["unigram"], kept) is kept


def test_a_slow_tokenizer_is_refused() -> None:
    class Slow:
        name_or_path = "somewhere"

    with pytest.raises(ModelError, match="'somewhere' is not a fast tokenizer"):
        always_kept_ids(Slow())  # type: ignore[arg-type]
