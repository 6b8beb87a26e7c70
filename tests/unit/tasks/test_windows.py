"""Long contexts are cut into windows that lose nothing, in every family's way to write a pair."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerFast

from bistil_ray.tasks.windows import OVERLAP, cut_context

many = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


def ids_of(tokenizer: PreTrainedTokenizerFast, text: str) -> list[int]:
    ids: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
    return ids


@many
@given(context=st.integers(0, 90), question=st.integers(0, 40), max_length=st.integers(8, 60))
def test_windows_hold_every_token_and_fit(
    family_tokenizer: PreTrainedTokenizerFast, context: int, question: int, max_length: int
) -> None:
    words = "mto daraja mama yangu wali shule mpya kazi".split()
    asked, told = (" ".join((words * 20)[:length]) for length in (question, context))
    cut = cut_context(family_tokenizer, asked, told, max_length)
    whole = ids_of(family_tokenizer, told)
    assert len(cut.spans) == len(whole)
    assert {token for window in cut.windows for token in window.tokens} == set(range(len(whole)))
    for window in cut.windows:
        ids = window.features["input_ids"]
        assert len(ids) == len(window.features["token_type_ids"]) <= max_length
        assert (ids[0], ids[-1]) == (family_tokenizer.cls_token_id, family_tokenizer.sep_token_id)
        held = slice(window.first, window.first + len(window.tokens))
        assert ids[held] == whole[window.tokens.start : window.tokens.stop]


@many
@given(context=st.integers(1, 90), max_length=st.integers(20, 60))
def test_the_windows_are_those_of_the_tokenizer_itself(
    family_tokenizer: PreTrainedTokenizerFast, context: int, max_length: int
) -> None:
    told = " ".join(("mto daraja mama yangu wali shule mpya kazi".split() * 20)[:context])
    asked = "nani hupika"
    room = max_length - family_tokenizer.num_special_tokens_to_add(pair=True) - len(ids_of(family_tokenizer, asked))
    expected = family_tokenizer(
        asked,
        told,
        truncation="only_second",
        max_length=max_length,
        stride=room // 2,
        return_overflowing_tokens=True,
    )
    windows = cut_context(family_tokenizer, asked, told, max_length).windows
    assert [window.features["input_ids"] for window in windows] == expected["input_ids"]


def test_segments_are_those_of_a_pair_that_is_not_cut(family_tokenizer: PreTrainedTokenizerFast) -> None:
    for window in cut_context(family_tokenizer, "nani hupika", "wali " * 50, 20).windows:
        whole = family_tokenizer("nani hupika", "wali " * len(window.tokens), return_token_type_ids=True)
        assert window.features == {name: whole[name] for name in ("input_ids", "token_type_ids")}


def test_long_windows_overlap_by_a_fixed_number_of_tokens(family_tokenizer: PreTrainedTokenizerFast) -> None:
    windows = cut_context(family_tokenizer, "mto", "daraja " * 1000, 384).windows
    for window, following in zip(windows, windows[1:], strict=False):
        assert window.tokens.stop - following.tokens.start == OVERLAP
        assert len(window.features["input_ids"]) == 384


def test_a_long_question_is_cut_and_leaves_half_of_the_places(family_tokenizer: PreTrainedTokenizerFast) -> None:
    markers = family_tokenizer.num_special_tokens_to_add(pair=True)
    question = "mama hupika wali na watoto hula pamoja " * 9
    cut = cut_context(family_tokenizer, question, "daraja " * 50, 30 + markers)
    ids = cut.windows[0].features["input_ids"]
    assert len(cut.windows[0].tokens) == 15 and len(ids) == 30 + markers
    assert ids[1:16] == ids_of(family_tokenizer, question)[:15]


def test_the_tokenizer_cuts_neither_before_nor_afterwards(family_tokenizer: PreTrainedTokenizerFast) -> None:
    family_tokenizer.backend_tokenizer.enable_truncation(5)
    cut = cut_context(family_tokenizer, "mto", "daraja " * 50, 20)
    assert len(cut.spans) == 50 and family_tokenizer.backend_tokenizer.truncation is None


@pytest.mark.parametrize(
    ("start", "end", "tokens"),
    [
        (0, 4, range(0, 1)),
        (5, 8, range(1, 2)),
        (4, 5, range(0)),
        (2, 6, range(0, 2)),
        (0, 99, range(0, 3)),
    ],
)
def test_characters_are_found_in_tokens(
    start: int, end: int, tokens: range, family_tokenizer: PreTrainedTokenizerFast
) -> None:
    assert cut_context(family_tokenizer, "nani", "Mama yangu hupika", 30).tokens_of(start, end) == tokens
