"""The trimmed tokenizer splits kept pieces as before, has contiguous ids and survives its files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models
from transformers import AutoTokenizer, PreTrainedTokenizerFast, XLMRobertaConfig

from bistil_ray.errors import ModelError
from bistil_ray.vocab.merges import merge_closure
from bistil_ray.vocab.trim import always_kept_ids, id_table, trim_tokenizer

Kinds = dict[str, PreTrainedTokenizerFast]


def kept_for(tokenizer: PreTrainedTokenizerFast, texts: list[str]) -> np.ndarray:
    """The ids that ``texts`` need, with what must always stay."""
    used = {token for ids in tokenizer(texts)["input_ids"] for token in ids}
    return merge_closure(tokenizer, np.array(sorted(used | always_kept_ids(tokenizer))))


def test_ids_are_contiguous_ranks_of_the_old_ones(tokenizer: PreTrainedTokenizerFast, texts: list[str]) -> None:
    kept = kept_for(tokenizer, texts[:2])
    trimmed = trim_tokenizer(tokenizer, kept)
    assert len(trimmed) == len(kept) < len(tokenizer)
    old_names = tokenizer.convert_ids_to_tokens(kept.tolist())
    assert trimmed.convert_ids_to_tokens(list(range(len(kept)))) == old_names
    assert trimmed.convert_tokens_to_ids(old_names) == list(range(len(kept)))


def test_texts_of_kept_pieces_get_the_same_pieces(tokenizer: PreTrainedTokenizerFast, texts: list[str]) -> None:
    kept = kept_for(tokenizer, texts[:3])
    table = id_table(kept, len(tokenizer))
    trimmed = trim_tokenizer(tokenizer, kept)
    for inputs in ((texts[:3],), (texts[:2], texts[1:3])):
        expected = [table[ids].tolist() for ids in tokenizer(*inputs)["input_ids"]]
        assert trimmed(*inputs)["input_ids"] == expected


def test_the_files_load_as_the_same_tokenizer(
    tokenizer: PreTrainedTokenizerFast, texts: list[str], tmp_path: Path
) -> None:
    trimmed = trim_tokenizer(tokenizer, kept_for(tokenizer, texts[:2]))
    trimmed.save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    assert type(loaded) is type(trimmed)
    assert loaded.get_vocab() == trimmed.get_vocab()
    assert loaded.added_tokens_decoder == trimmed.added_tokens_decoder
    assert loaded.special_tokens_map == trimmed.special_tokens_map == tokenizer.special_tokens_map
    assert loaded(texts, texts)["input_ids"] == trimmed(texts, texts)["input_ids"]
    assert loaded.decode(loaded(texts[0])["input_ids"]) == tokenizer.decode(tokenizer(texts[0])["input_ids"])


def test_special_tokens_keep_their_meaning(tokenizer: PreTrainedTokenizerFast, texts: list[str]) -> None:
    kept = kept_for(tokenizer, texts[:1])
    trimmed = trim_tokenizer(tokenizer, kept)
    for role, token in tokenizer.special_tokens_map.items():
        assert getattr(trimmed, role) == token
        assert kept[getattr(trimmed, f"{role}_id")] == getattr(tokenizer, f"{role}_id")
    assert {trimmed.decode([index]): str(token) for index, token in trimmed.added_tokens_decoder.items()} == {
        tokenizer.decode([index]): str(token) for index, token in tokenizer.added_tokens_decoder.items()
    }


def test_padding_set_before_the_cut_pads_with_the_new_id(tokenizer: PreTrainedTokenizerFast, texts: list[str]) -> None:
    kept = kept_for(tokenizer, texts[:1])
    tokenizer(texts[:2], padding=True, truncation=True, max_length=12)
    trimmed = trim_tokenizer(tokenizer, kept)
    assert trimmed.backend_tokenizer.padding["pad_id"] == trimmed.pad_token_id
    batch = trimmed([texts[0], ","], padding=True)
    assert batch["input_ids"][1][-1] == trimmed.pad_token_id


def test_the_original_is_not_changed(tokenizer: PreTrainedTokenizerFast, texts: list[str]) -> None:
    kept = kept_for(tokenizer, texts[:1])
    before = tokenizer.backend_tokenizer.to_str()
    trim_tokenizer(tokenizer, kept)
    assert tokenizer.backend_tokenizer.to_str() == before


def test_the_class_stays_where_it_loads_as_written(tokenizers_of_all_kinds: Kinds, texts: list[str]) -> None:
    for name in ("wordpiece", "roberta", "deberta", "with_added_tokens"):
        tokenizer = tokenizers_of_all_kinds[name]
        assert type(trim_tokenizer(tokenizer, kept_for(tokenizer, texts[:1]))) is type(tokenizer)
    moved = tokenizers_of_all_kinds["xlmr_with_moved_specials"]
    assert type(trim_tokenizer(moved, kept_for(moved, texts[:1]))) is PreTrainedTokenizerFast


def test_the_general_class_loads_beside_a_model_of_the_old_one(
    tokenizers_of_all_kinds: Kinds, texts: list[str], tmp_path: Path
) -> None:
    moved = tokenizers_of_all_kinds["xlmr_with_moved_specials"]
    trimmed = trim_tokenizer(moved, kept_for(moved, texts[:1]))
    trimmed.save_pretrained(tmp_path)
    XLMRobertaConfig(vocab_size=len(trimmed)).save_pretrained(tmp_path)
    assert AutoTokenizer.from_pretrained(tmp_path)(texts)["input_ids"] == trimmed(texts)["input_ids"]


def test_extra_tokens_are_still_found_in_text(tokenizers_of_all_kinds: Kinds, tmp_path: Path) -> None:
    tokenizer = tokenizers_of_all_kinds["with_added_tokens"]
    kept = kept_for(tokenizer, ["the"])
    trim_tokenizer(tokenizer, kept).save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    text = "the farmland<ent> the <lang:yo>"
    assert loaded.tokenize(text) == ["the", "farmland", "<ent>", "the", "<lang:yo>"]
    assert loaded.extra_special_tokens == ["<lang:sw>", "<lang:yo>"]
    table = id_table(kept, len(tokenizer))
    assert loaded(text)["input_ids"] == table[tokenizer(text)["input_ids"]].tolist()


def test_text_of_dropped_pieces_falls_into_smaller_ones(tokenizers_of_all_kinds: Kinds) -> None:
    tokenizer = tokenizers_of_all_kinds["wordpiece"]
    characters = np.array(sorted(always_kept_ids(tokenizer, keep_characters=True)))
    assert tokenizer.tokenize("the farmer") == ["the", "farm", "##er"]
    assert trim_tokenizer(tokenizer, characters).tokenize("farmer") == [
        "f",
        "##a",
        "##r",
        "##m",
        "##e",
        "##r",
    ]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_text_of_kept_pieces_is_split_as_before(
    data: st.DataObject, tokenizers_of_all_kinds: Kinds, texts: list[str]
) -> None:
    tokenizer = tokenizers_of_all_kinds[data.draw(st.sampled_from(sorted(tokenizers_of_all_kinds)))]
    letters = sorted({letter for text in texts for letter in text})
    words = st.sampled_from(sorted({word for text in texts for word in text.split()})) | st.text(letters, max_size=8)
    text = " ".join(data.draw(st.lists(words, max_size=8)))
    ids = tokenizer(text)["input_ids"]
    others = data.draw(st.sets(st.integers(0, len(tokenizer) - 1), max_size=60))
    kept = merge_closure(tokenizer, np.array(sorted(set(ids) | others | always_kept_ids(tokenizer))))
    if tokenizer.unk_token_id in ids:
        return
    assert trim_tokenizer(tokenizer, kept)(text)["input_ids"] == id_table(kept, len(tokenizer))[ids].tolist()


@pytest.mark.parametrize("kept", [[3, 2], [2, 2, 3], [[2, 3]]])
def test_ids_that_are_not_one_ascending_list_are_refused(tokenizers_of_all_kinds: Kinds, kept: list[int]) -> None:
    with pytest.raises(ModelError, match="ascending"):
        trim_tokenizer(tokenizers_of_all_kinds["wordpiece"], np.array(kept))


def test_an_id_without_a_token_is_refused(tokenizer: PreTrainedTokenizerFast) -> None:
    kept = np.array([*sorted(always_kept_ids(tokenizer)), len(tokenizer) + 7])
    with pytest.raises(ModelError, match=f"id {len(tokenizer) + 7} is to be kept"):
        trim_tokenizer(tokenizer, kept)


def test_a_missing_special_token_is_named(tokenizers_of_all_kinds: Kinds) -> None:
    tokenizer = tokenizers_of_all_kinds["wordpiece"]
    always = always_kept_ids(tokenizer) - {tokenizer.mask_token_id}
    with pytest.raises(ModelError, match=r"\[MASK\]"):
        trim_tokenizer(tokenizer, np.array(sorted(always)))


def test_a_piece_kept_without_its_parts_is_refused(tokenizers_of_all_kinds: Kinds) -> None:
    tokenizer = tokenizers_of_all_kinds["byte_bpe"]
    whole = tokenizer.convert_tokens_to_ids("Ġsinging")
    with pytest.raises(ModelError, match="merge_closure"):
        trim_tokenizer(tokenizer, np.array(sorted(always_kept_ids(tokenizer) | {whole})))


def test_two_tokens_with_one_id_are_refused() -> None:
    backend = Tokenizer(models.WordPiece({"[UNK]": 0, "a": 1, "b": 3}, unk_token="[UNK]"))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="[UNK]")
    tokenizer.add_tokens(["c"])
    with pytest.raises(ModelError, match="share the id 3"):
        trim_tokenizer(tokenizer, np.array([0, 1, 3]))


def test_other_kinds_of_model_are_refused_by_name() -> None:
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.WordLevel({"a": 0}, unk_token="a")))
    with pytest.raises(ModelError, match="'WordLevel' cannot be trimmed .*WordPiece, Unigram, BPE"):
        trim_tokenizer(tokenizer, np.array([0]))
