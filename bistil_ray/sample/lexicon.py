"""The shape of one language's lexicon: what its sentences are built from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Lexicon:
    """Word lists and sentence templates of one language.

    A template is plain text with slots in braces. ``{PER}``, ``{MAN}`` and ``{WOMAN}`` take persons, ``{LOC}``,
    ``{CITY}`` and ``{LAND}`` places, ``{ORG}`` and ``{CLUB}`` organisations, ``{NUM}``, ``{AGE}``, ``{DATE}`` and
    ``{YEAR}`` numbers; every other slot takes an entry of ``words``. Agreement (noun class, gender, number) is fixed
    by the template, so every filling is grammatical.
    """

    templates: tuple[str, ...]
    openers: tuple[str, ...]
    """Beginnings that may stand before any statement; they end where the statement starts."""
    words: Mapping[str, tuple[str, ...]]
    titles: Mapping[str, tuple[str, ...]]
    """Capitalised titles by ``any``, ``man`` and ``woman``; they stand outside a person's span."""
    organisations: tuple[str, ...]
    """Names of organisations in the language itself, with slots for ``{CITY}``, ``{LAND}`` and ``{FAMILY}``."""
    spellings: Mapping[str, str]
    """How the language spells some of the shared names; the shared spelling stays in use beside it."""
