"""Answers of taggers compared: with the truth, by groups of words, and with the answers of a teacher.

An answer is a span with its type or, in tasks without spans, a word with its tag.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from seqeval.metrics.sequence_labeling import get_entities

Sentences = Sequence[Sequence[str]]
Answer = tuple[int, int, int, str]
"""Sentence, first word, last word, and the type of the span or the tag of the word."""
Group = Callable[[Answer], str]


def answers(tags: Sentences, spans: bool) -> set[Answer]:
    """Give the spans of IOB2 tags, by the CoNLL rules, or each word with its tag."""
    if not spans:
        return {(number, place, place, tag) for number, row in enumerate(tags) for place, tag in enumerate(row)}
    found = ((number, span) for number, row in enumerate(tags) for span in get_entities(list(row)))
    return {(number, first, last, kind) for number, (kind, first, last) in found}


def scores_by(group: Group, gold: set[Answer], said: set[Answer]) -> dict[str, dict[str, float]]:
    """Give precision, recall and F1 of each group of answers, and the number of gold answers in it (``support``)."""
    right, given, wanted = (Counter(map(group, some)) for some in (gold & said, said, gold))
    return {
        name: {
            "support": wanted[name],
            "precision": right[name] / given[name] if given[name] else 0.0,
            "recall": right[name] / wanted[name] if wanted[name] else 0.0,
            "f1": 2 * right[name] / (given[name] + wanted[name]),
        }
        for name in sorted({*given, *wanted})
    }


def by_hardest_word(sentences: Sentences, group_of: Mapping[str, str], order: Sequence[str]) -> Group:
    """Make the function that gives the group of an answer: that of its words which is last in ``order``."""

    def group(answer: Answer) -> str:
        number, first, last, _ = answer
        return max((group_of[word] for word in sentences[number][first : last + 1]), key=order.index)

    return group


def fate(gold: set[Answer], teacher: set[Answer], student: set[Answer]) -> dict[str, float | None]:
    """Say what became of the teacher's answers, as shares; None where there are no such answers.

    ``agreement`` is the F1 of the student's answers against the teacher's: for words, the share with the same tag.
    ``kept``: of the gold answers that the teacher finds, those that the student finds too. ``mended``: of those that it
    misses, those that the student finds. ``repeated``: of its wrong answers, those that the student gives too.
    """

    def share(of: set[Answer]) -> float | None:
        return len(student & of) / len(of) if of else None

    said = len(teacher) + len(student)
    return {
        "agreement": 2 * len(teacher & student) / said if said else None,
        "kept": share(gold & teacher),
        "mended": share(gold - teacher),
        "repeated": share(teacher - gold),
    }
