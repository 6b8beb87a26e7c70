"""What is in a corpus: its size, what is wrong with its rows, its scripts, and what a tokenizer makes of it."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from tokenizers import Tokenizer

from .corpus import Shard, read_texts
from .documents import clean
from .foreign import WordCounts, words_of
from .pack import tokenise_texts
from .seen import SeenTexts

# A row of at least so many words is repetitive if one of them is more than half of it.
_REPETITIVE_WORDS = 4


@dataclass
class Survey:
    """What was found in a corpus; all but ``unusable`` and ``rows`` is about the rows that a sweep would use.

    ``unusable`` rows are counted by reason. ``duplicates`` are equal to an earlier row but for white space and Unicode
    normal form, ``alike`` only in their letters (other digits, punctuation, case). ``repetitive`` rows are one word
    again and again. ``characters`` counts each code point, ``words`` what stands between white space.
    """

    rows: int = 0
    unusable: Counter[str] = field(default_factory=Counter)
    words: int = 0
    duplicates: int = 0
    alike: int = 0
    repetitive: int = 0
    not_nfc: int = 0
    characters: Counter[str] = field(default_factory=Counter)
    frequent: WordCounts = field(default_factory=WordCounts)

    def scripts(self) -> dict[str, float]:
        """Give the share of each script among the letters, most frequent first.

        A script is the first word of a letter's Unicode name: LATIN, ARABIC, ETHIOPIC, CJK.
        """
        letters: Counter[str] = Counter()
        for character, count in self.characters.items():
            if character.isalpha():
                letters[unicodedata.name(character, "UNNAMED").split(" ", 1)[0]] += count
        return {script: count / letters.total() for script, count in letters.most_common()}


@dataclass
class TokenSurvey:
    """What a tokenizer makes of a corpus: tokens without sentence markers, and how many of them are unknown."""

    tokens: int = 0
    unknown: int = 0


def survey_corpus(shards: Sequence[Shard], column: str) -> Survey:
    """Read a corpus once and count what is in it; 16 bytes a row and the frequent words stay in memory."""
    survey = Survey()
    seen, seen_letters = SeenTexts(), SeenTexts()
    for texts in _all_texts(shards, column, survey.unusable):
        survey.rows += len(texts)
        cleaned = [clean(text) for text in texts]
        new = seen.are_new(cleaned)
        once = [_letters(text) for text, is_new in zip(cleaned, new, strict=True) if is_new]
        survey.duplicates += len(texts) - len(once)
        survey.alike += len(once) - int(seen_letters.are_new(once).sum())
        for text in texts:
            survey.not_nfc += not unicodedata.is_normalized("NFC", text)
            survey.characters.update(text)
            survey.words += len(text.split())
            words = words_of(text)
            survey.frequent.add(words)
            survey.repetitive += _is_repetitive(words)
    return survey


def survey_tokens(shards: Sequence[Shard], column: str, tokenizer: Tokenizer, unknown_id: int | None) -> TokenSurvey:
    """Tokenise a corpus and count; ``unknown_id`` is None for a tokenizer that knows every character."""
    survey = TokenSurvey()
    for texts in _all_texts(shards, column, Counter()):
        ids = np.concatenate([np.empty(0, dtype=np.int32), *tokenise_texts(tokenizer, texts, markers=False)])
        survey.tokens += len(ids)
        survey.unknown += int((ids == unknown_id).sum())
    return survey


def unknown_characters(characters: Counter[str], tokenizer: Tokenizer, unknown_id: int | None) -> dict[str, int]:
    """Give those of the counted ``characters`` that a tokenizer does not know, most frequent first.

    A character is unknown if it becomes the unknown token alone or at the end of a word: a whole word piece may be
    there and its continuation missing. The word is made with the most frequent letter that is known.
    """
    if unknown_id is None:
        return {}
    ordered = [character for character, _ in characters.most_common() if not character.isspace()]
    alone = _has_unknown(tokenizer, ordered, unknown_id)
    letters = (c for c, unknown in zip(ordered, alone, strict=True) if c.isalpha() and not unknown)
    before = next(letters, "a")
    inside = _has_unknown(tokenizer, [before + character for character in ordered], unknown_id)
    return {c: characters[c] for c, *unknown in zip(ordered, alone, inside, strict=True) if any(unknown)}


def _has_unknown(tokenizer: Tokenizer, texts: Sequence[str], unknown_id: int) -> list[bool]:
    return [bool((ids == unknown_id).any()) for ids in tokenise_texts(tokenizer, texts, markers=False)]


def _all_texts(shards: Sequence[Shard], column: str, tally: Counter[str]) -> Iterator[list[str]]:
    for shard in shards:
        yield from read_texts(shard, column, tally)


def _letters(text: str) -> str:
    return "".join(filter(str.isalpha, text.casefold()))


def _is_repetitive(words: Sequence[str]) -> bool:
    return len(words) >= _REPETITIVE_WORDS and 2 * Counter(words).most_common(1)[0][1] > len(words)
