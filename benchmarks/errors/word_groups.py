"""Words in groups by how hard they may be for a student: how often a corpus has them, how they are split into pieces.

Groups are listed from the easiest to the hardest.
"""

from __future__ import annotations

import string
from collections import Counter
from collections.abc import Iterable, Mapping

from transformers import PreTrainedTokenizerFast

from bistil_ray.data.corpus import corpus_files, list_shards, read_texts
from bistil_ray.tasks.words import encode_words

PUNCTUATION = string.punctuation + "“”‘’«»…–—"
FREQUENCIES = ("no letter or digit", "100+", "10-99", "1-9", "never")
PIECES = ("1", "2", "3", "4+", "unknown token")
LONGEST = 512
"""Pieces of a word beyond these are not looked at."""


def word_counts(corpora: str, lang: str) -> Counter[str]:
    """Count the words of a corpus as they are written, without punctuation at their ends."""
    counts: Counter[str] = Counter()
    for shard in list_shards(corpus_files(corpora, lang), "text"):
        for texts in read_texts(shard, "text", Counter()):
            counts.update(word.strip(PUNCTUATION) for text in texts for word in text.split())
    return counts


def by_frequency(words: Iterable[str], counts: Mapping[str, int]) -> dict[str, str]:
    """Give the group of ``FREQUENCIES`` of each word."""

    def group(word: str) -> str:
        if not any(map(str.isalnum, word)):
            return FREQUENCIES[0]
        count = counts.get(word.strip(PUNCTUATION), 0)
        return "100+" if count >= 100 else "10-99" if count >= 10 else "1-9" if count else "never"

    return {word: group(word) for word in words}


def by_pieces(words: Iterable[str], tokenizer: PreTrainedTokenizerFast) -> dict[str, str]:
    """Give the group of ``PIECES`` of each word; one that no piece is left of is unknown."""
    chosen = list(words)
    groups = {}
    for word, ids, places in zip(chosen, *encode_words(tokenizer, [[word] for word in chosen], LONGEST), strict=True):
        pieces = [number for number, place in zip(ids, places, strict=True) if place is not None]
        unknown = not pieces or tokenizer.unk_token_id in pieces
        groups[word] = PIECES[-1] if unknown else PIECES[min(len(pieces), 4) - 1]
    return groups
