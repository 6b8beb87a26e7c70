"""The union of vocabularies: the same tokens become one, different ones stay apart, and nothing is lost."""

from __future__ import annotations

import numpy as np
import pytest
from transformers import BertTokenizer, PreTrainedTokenizerFast

from bistil_ray.errors import ModelError
from bistil_ray.vocab.union import special_roles, token_keys, unite

Tokenizers = dict[str, PreTrainedTokenizerFast]
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def wordpiece(*pieces: str) -> PreTrainedTokenizerFast:
    return BertTokenizer(vocab={piece: index for index, piece in enumerate(pieces)})


def test_the_union_with_itself_is_the_identity(tokenizer: PreTrainedTokenizerFast) -> None:
    union = unite([tokenizer, tokenizer])
    assert union.size == len(tokenizer)
    assert all(np.array_equal(ids, np.arange(len(tokenizer))) for ids in union.maps)


def test_new_tokens_follow_those_of_the_first_and_shared_ones_are_one() -> None:
    union = unite([wordpiece(*SPECIAL, "one", "##s"), wordpiece("##s", *reversed(SPECIAL), "two", "one")])
    assert union.maps[0].tolist() == [0, 1, 2, 3, 4, 5, 6]
    assert union.maps[1].tolist() == [6, 4, 3, 2, 1, 0, 7, 5]
    assert union.size == 8


@pytest.mark.parametrize("other", ["unigram", "byte_bpe", "space_bpe", "marked_bpe"])
def test_across_families_only_special_tokens_are_one(tokenizers_of_all_kinds: Tokenizers, other: str) -> None:
    first, second = tokenizers_of_all_kinds["wordpiece"], tokenizers_of_all_kinds[other]
    roles = [{role: token for token, role in special_roles(tokenizer).items()} for tokenizer in (first, second)]
    both = set(roles[0]) & set(roles[1])
    assert set(first.get_vocab()) & set(second.get_vocab()) - set(roles[1].values()), "some strings look alike"
    union = unite([first, second])
    assert union.size == len(first) + len(second) - len(both)
    for role in both:
        old = first.convert_tokens_to_ids(roles[0][role]), second.convert_tokens_to_ids(roles[1][role])
        assert union.maps[0][old[0]] == union.maps[1][old[1]], role


def test_no_two_tokens_of_a_teacher_become_one(tokenizers_of_all_kinds: Tokenizers) -> None:
    union = unite(list(tokenizers_of_all_kinds.values()))
    for ids in union.maps:
        assert len(set(ids.tolist())) == len(ids)
        assert ids.min() >= 0 and ids.max() < union.size


def test_a_special_string_that_is_an_ordinary_token_elsewhere_stays_two() -> None:
    plain = wordpiece("[PAD]", "[UNK]", "<s>", "</s>", "[MASK]", "[CLS]", "[SEP]")
    plain.cls_token, plain.sep_token = "<s>", "</s>"
    union = unite([wordpiece(*SPECIAL), plain])
    assert union.maps[1].tolist() == [0, 1, 2, 3, 4, 5, 6]
    assert token_keys(plain)[5] != token_keys(wordpiece(*SPECIAL))[2]


def test_ids_with_gaps_are_refused() -> None:
    tokenizer = BertTokenizer(vocab={piece: 2 * index for index, piece in enumerate(SPECIAL)})
    with pytest.raises(ModelError, match="leaves ids out"):
        unite([tokenizer])
