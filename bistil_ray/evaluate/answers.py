"""How good answers are that were cut out of a text: by the rules of SQuAD 1.1."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from string import punctuation

# SQuAD's rules are English: other languages keep their articles, and punctuation beyond ASCII.
_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", punctuation)


@dataclass(frozen=True)
class AnswerScores:
    """Means over questions, as fractions: answers that are exactly right, and F1 over the words of the answer."""

    exact_match: float
    f1: float


def answer_scores(gold: Sequence[Sequence[str]], predicted: Sequence[str]) -> AnswerScores:
    """Compare each predicted answer with the best fitting one of its question's ``gold`` answers.

    A question without any answer is answered right by an empty one.
    """
    exact = f1 = 0.0
    for answers, answer in zip(gold, predicted, strict=True):
        words = _words(answer)
        rights = [_words(right) for right in answers or ("",)]
        exact += words in rights
        f1 += max(_word_f1(right, words) for right in rights)
    return AnswerScores(exact / len(gold), f1 / len(gold))


def _words(answer: str) -> list[str]:
    """Give the words that count: lower case, without ASCII punctuation and English articles (SQuAD 1.1)."""
    return _ARTICLES.sub(" ", answer.lower().translate(_PUNCTUATION)).split()


def _word_f1(gold: Sequence[str], predicted: Sequence[str]) -> float:
    if not gold or not predicted:
        return float(gold == predicted)
    common = (Counter(gold) & Counter(predicted)).total()
    return 2 * common / (len(gold) + len(predicted))
