"""The corpora of a few languages looked at together: what is in each, and what in it deserves a warning."""

from __future__ import annotations

import textwrap
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tokenizers import Tokenizer

from .corpus import list_shards
from .foreign import ForeignRows, find_foreign_rows, foreign_words
from .survey import Survey, TokenSurvey, survey_corpus, survey_tokens, unknown_characters

# Shares of the rows, letters or tokens of a corpus from which on a warning is given. Every row that is not in NFC or
# cannot be used is worth one.
_DUPLICATES = 0.01
_ALIKE = 0.05
_REPETITIVE = 0.005
_FOREIGN = 0.001
_SECOND_SCRIPT = 0.01
_UNKNOWN_TOKENS = 0.005
# Characters that a warning, and a table, name.
_NAMED = 5


@dataclass
class CorpusCheck:
    """What was found in the corpus of one language; tokens only where a tokenizer was given."""

    lang: str
    files: int
    survey: Survey
    foreign: dict[str, ForeignRows] = field(default_factory=dict)
    tokens: TokenSurvey | None = None
    unknown_characters: dict[str, int] = field(default_factory=dict)

    def record(self) -> dict[str, Any]:
        """Give everything as plain data."""
        survey = self.survey
        record = {
            "lang": self.lang,
            "files": self.files,
            "rows": survey.rows,
            "unusable": dict(survey.unusable),
            "words": survey.words,
            "characters": survey.characters.total(),
            "duplicates": survey.duplicates,
            "alike": survey.alike,
            "repetitive": survey.repetitive,
            "not_nfc": survey.not_nfc,
            "scripts": survey.scripts(),
            "foreign": {lang: found.rows for lang, found in self.foreign.items()},
            "warnings": list(warnings(self)),
        }
        if self.tokens is not None:
            record |= {
                "tokens": self.tokens.tokens,
                "unknown_tokens": self.tokens.unknown,
                "unknown_characters": self.unknown_characters,
            }
        return record


def check_corpora(
    files: Mapping[str, Sequence[str]],
    column: str,
    tokenizer: Tokenizer | None = None,
    unknown_id: int | None = None,
    progress: Callable[[str], None] = lambda words: None,
) -> list[CorpusCheck]:
    """Look at the corpus of each language, whose ``files`` are given by its code, and compare it with the others.

    ``progress`` is told what is going on. DataError for a corpus that cannot be read.
    """
    shards = {lang: list_shards(its_files, column, "--column") for lang, its_files in files.items()}
    checks = {}
    for lang in files:
        progress(f"{lang}: rows and characters")
        checks[lang] = CorpusCheck(lang, len(files[lang]), survey_corpus(shards[lang], column))
    for lang, check in checks.items():
        words = {
            other: foreign_words(check.survey.frequent, its_check.survey.frequent)
            for other, its_check in checks.items()
            if other != lang
        }
        if words:
            progress(f"{lang}: lines of other languages")
            check.foreign = find_foreign_rows(shards[lang], column, words)
        if tokenizer is not None:
            progress(f"{lang}: tokens")
            check.tokens = survey_tokens(shards[lang], column, tokenizer, unknown_id)
            check.unknown_characters = unknown_characters(check.survey.characters, tokenizer, unknown_id)
    return list(checks.values())


def warnings(check: CorpusCheck) -> Iterator[str]:
    """Say in one line each what is likely to be wrong with a corpus."""
    survey = check.survey
    rows = max(1, survey.rows)
    if survey.unusable:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in survey.unusable.most_common())
        yield f"{survey.unusable.total():,} rows cannot be used: {reasons}"
    if survey.not_nfc:
        yield f"{_part(survey.not_nfc, rows)} are not in NFC: letters have several spellings; `corpus build` mends that"
    if survey.duplicates >= _DUPLICATES * rows:
        yield f"{_part(survey.duplicates, rows)} repeat an earlier one; `corpus build` drops them"
    if survey.alike >= _ALIKE * rows:
        yield f"{_part(survey.alike, rows)} have the letters of an earlier one: lines of a template?"
    if survey.repetitive >= _REPETITIVE * rows:
        yield f"{_part(survey.repetitive, rows)} are one word again and again"
    for lang, found in check.foreign.items():
        if found.rows >= _FOREIGN * rows:
            yield f"{_part(found.rows, rows)} read like {lang}: {textwrap.shorten(found.examples[0], 80)!r}"
    for script, share in list(survey.scripts().items())[1:]:
        if share >= _SECOND_SCRIPT:
            yield f"{share:.1%} of the letters are {script}, most are {next(iter(survey.scripts()))}"
    if check.tokens is not None and check.tokens.unknown > _UNKNOWN_TOKENS * check.tokens.tokens:
        share = check.tokens.unknown / check.tokens.tokens
        yield f"{share:.1%} of the tokens are unknown to the teacher; it lacks {some_characters(check)}"


def some_characters(check: CorpusCheck) -> str:
    """Name the most frequent characters that the tokenizer does not know; a circle carries what combines."""
    named = list(check.unknown_characters)[:_NAMED]
    return " ".join("◌" + character if unicodedata.combining(character) else character for character in named)


def _part(count: int, rows: int) -> str:
    return f"{count:,} rows ({count / rows:.2%})"
