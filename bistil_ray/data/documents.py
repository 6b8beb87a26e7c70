"""Rows of raw data to documents: the wanted ones, cleaned, with their source and licence."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from ..errors import ConfigError
from .raw import Layout, RawInput, Row, read_raw
from .rows import decoded

SOURCE = "source"
LICENCES = ("licence", "license")
"""A data set's own columns for where a document comes from and what may be done with it."""


@dataclass(frozen=True)
class Document:
    """A text, where it comes from, and its licence where that is known."""

    text: str
    source: str
    licence: str | None


@dataclass(frozen=True)
class Selection:
    """Which rows become documents, and what is said of them.

    ``only`` is a column and the value that it must have, such as ``("lang", "sw")``. Lengths are code points of the
    cleaned text. ``source`` and ``licence`` stand in for the columns of these names.
    """

    only: tuple[str, str] | None = None
    min_characters: int = 20
    max_characters: int | None = None
    nfc: bool = True
    source: str | None = None
    licence: str | None = None


def clean(text: str, nfc: bool = True) -> str:
    """Collapse white space and, with ``nfc``, give each letter the one spelling of Unicode's NFC."""
    return " ".join((unicodedata.normalize("NFC", text) if nfc else text).split())


def parse_only(given: str, flag: str) -> tuple[str, str]:
    """Split ``COLUMN=VALUE``; ConfigError if it is not of this shape."""
    column, equals, value = given.partition("=")
    if not (column and equals and value):
        raise ConfigError(f"{flag} is {given!r}: write COLUMN=VALUE, such as {flag} lang=sw")
    return column, value


def select_documents(
    inputs: Iterable[RawInput], layout: Layout, selection: Selection, dropped: Counter[str]
) -> Iterator[Document]:
    """Read inputs and give the documents in them; rows that become none are counted by reason in ``dropped``.

    The source of a document is the one given, or its column, or the name of the input.
    """
    for raw in inputs:
        for row in read_raw(raw, layout, dropped):
            document = _document(row, raw.name, layout.text, selection, dropped)
            if document is not None:
                yield document


def _document(row: Row, name: str, column: str, selection: Selection, dropped: Counter[str]) -> Document | None:
    """Make a document of a row; None, and counted by reason, if it is none to keep."""
    if selection.only is not None and _label(row.get(selection.only[0])) != selection.only[1]:
        dropped["not selected"] += 1
        return None
    text = _text(row.get(column), dropped)
    if text is None:
        return None
    text = clean(text, selection.nfc)
    if not text:
        dropped["empty"] += 1
    elif len(text) < selection.min_characters:
        dropped["too short"] += 1
    elif selection.max_characters is not None and len(text) > selection.max_characters:
        dropped["too long"] += 1
    else:
        licence = selection.licence or next(filter(None, (_label(row.get(column)) for column in LICENCES)), None)
        return Document(text, selection.source or _label(row.get(SOURCE)) or name, licence)
    return None


def _text(value: Any, dropped: Counter[str]) -> str | None:  # noqa: ANN401
    """Decode a value by the rules of every corpus (see ``rows.decoded``)."""
    if value is not None and not isinstance(value, str | bytes):
        dropped["not valid text"] += 1
        return None
    # Half of a surrogate pair has bytes that no UTF-8 has, and is found when these are decoded.
    texts = decoded([value.encode(errors="surrogatepass") if isinstance(value, str) else value], dropped)
    return texts[0] if texts else None


def _label(value: Any) -> str | None:  # noqa: ANN401
    if value is None:
        return None
    # Bytes that are no UTF-8 come as such, or as halves of surrogate pairs.
    written = value if isinstance(value, bytes) else str(value).encode(errors="replace")
    return written.decode(errors="replace")
