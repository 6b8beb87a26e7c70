"""Sentences that come as words: as ids, with the place of each word in them."""

from __future__ import annotations

from collections.abc import Sequence

from transformers import PreTrainedTokenizerFast


def encode_words(
    tokenizer: PreTrainedTokenizerFast, sentences: Sequence[Sequence[str]], max_length: int
) -> tuple[list[list[int]], list[list[int | None]]]:
    """Give each sentence's ids, with markers, at most ``max_length``, and for each id the number of its word.

    Markers belong to no word (None). Words that were cut off or have no sub-words do not occur.
    """
    space = " " if needs_space(tokenizer) else ""
    batch = tokenizer(
        [[space + word for word in words] for words in sentences],
        is_split_into_words=True,
        truncation=True,
        max_length=max_length,
        return_attention_mask=False,
        return_token_type_ids=False,
    )
    # Otherwise a tokenizer saved later would cut what other programs give it.
    tokenizer.backend_tokenizer.no_truncation()
    return batch["input_ids"], [batch.word_ids(index) for index in range(len(sentences))]


def first_places(word_of_id: Sequence[int | None], words: int) -> list[int]:
    """Give the place of each word's first sub-word, or -1 if it has none."""
    first = [-1] * words
    for position, word in reversed(list(enumerate(word_of_id))):
        if word is not None:
            first[word] = position
    return first


def needs_space(tokenizer: PreTrainedTokenizerFast) -> bool:
    """Tell whether words in a list need the space before them, as byte-level vocabularies have it in first pieces."""
    split = tokenizer.backend_tokenizer.pre_tokenizer
    if split is None:
        return False
    alone, after_space = (split.pre_tokenize_str(text) for text in ("a", " a"))
    return [piece for piece, _ in alone] != [piece for piece, _ in after_space]
