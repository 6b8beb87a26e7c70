"""Lines of one language in the corpus of another, found by the frequent words of both: no model, no list of words.

A word speaks for another language if it is among the 2,000 most frequent words of that one's corpus and at least twice
as frequent there as here. A row of four words or more is foreign if more than half of its words speak for one other
language. It works while less than half of a corpus is foreign, and misses rows of names and rare words: a floor.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from .corpus import Shard, read_texts

_FREQUENT = 2_000
_TIMES_AS_FREQUENT = 2
_LEAST_WORDS = 4
_EXAMPLES = 3
# Words counted at the same time; where there are more, the rarer half is forgotten.
_MOST_WORDS = 1_000_000
# What may stand around a word. Apostrophes may also be letters within one.
_AROUND = ".,;:!?…\"'“”‘’„«»()[]{}<>/|*_–—-"


def words_of(text: str) -> list[str]:
    """Give the words of a text in lower case, without punctuation around them and without numbers."""
    words = (word.strip(_AROUND) for word in text.casefold().split())
    return [word for word in words if word and not word.isnumeric()]


@dataclass
class WordCounts:
    """How often words occur, in bounded memory: counts of rare words may be too low."""

    counts: Counter[str] = field(default_factory=Counter)
    total: int = 0

    def add(self, words: Sequence[str]) -> None:
        """Count the words of a text."""
        self.counts.update(words)
        self.total += len(words)
        if len(self.counts) > _MOST_WORDS:
            self.counts = Counter(dict(self.counts.most_common(_MOST_WORDS // 2)))

    def frequent(self) -> dict[str, float]:
        """Give the most frequent words and their share of all."""
        return {word: count / self.total for word, count in self.counts.most_common(_FREQUENT)}

    def share(self, word: str) -> float:
        """Give the share of a word."""
        return self.counts[word] / self.total if self.total else 0.0


@dataclass
class ForeignRows:
    """Rows of another language, and the first few of them."""

    rows: int = 0
    examples: list[str] = field(default_factory=list)


def foreign_words(here: WordCounts, there: WordCounts) -> frozenset[str]:
    """Give the words that speak for the language of ``there`` where they stand in a row of ``here``."""
    return frozenset(word for word, share in there.frequent().items() if share >= _TIMES_AS_FREQUENT * here.share(word))


def is_foreign(words: Sequence[str], speaking: Collection[str]) -> bool:
    """Tell whether a row of these words is of the language for which the words ``speaking`` speak."""
    return len(words) >= _LEAST_WORDS and 2 * sum(word in speaking for word in words) > len(words)


def find_foreign_rows(
    shards: Iterable[Shard], column: str, speaking: Mapping[str, Collection[str]]
) -> dict[str, ForeignRows]:
    """Read a corpus and count its rows of each other language, whose ``foreign_words`` are given by its code."""
    found = {lang: ForeignRows() for lang in speaking}
    for shard in shards:
        for texts in read_texts(shard, column, Counter()):
            for text in texts:
                words = words_of(text)
                for lang, its_words in speaking.items():
                    if is_foreign(words, its_words):
                        found[lang].rows += 1
                        if len(found[lang].examples) < _EXAMPLES:
                            found[lang].examples.append(text)
    return found
