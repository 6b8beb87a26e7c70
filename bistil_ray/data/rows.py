"""Which rows of a file can be used: text out of Arrow columns, the rows without any counted by reason.

Strings are taken as bytes first: those in a file need not be valid, and one bad row would spoil a batch.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pyarrow as pa

MAX_TEXT_BYTES = 1_000_000
"""A longer row is no document but an accident, and is left out."""


def usable_texts(column: pa.Array, tally: Counter[str]) -> list[str]:
    """Give the texts of a string column, as they are.

    Rows that are ``null``, ``empty`` (nothing but white space), ``too long`` (over a megabyte) or ``not valid
    text`` (not UTF-8, or with a NUL character) are left out and counted in ``tally`` under these words.
    """
    texts = []
    for value in column.cast(pa.large_binary()).to_pylist():
        text = decoded([value], tally)
        if text is not None and text[0].strip():
            texts.append(text[0])
        elif text is not None:
            tally["empty"] += 1
    return texts


def decoded(values: Sequence[bytes | None] | None, tally: Counter[str]) -> tuple[str, ...] | None:
    """Decode the strings of one row; None, and counted in ``tally`` as ``usable_texts`` does, if not all are good."""
    present = [value for value in values or [] if value is not None]
    if values is None or len(present) < len(values):
        tally["null"] += 1
    elif sum(map(len, present)) > MAX_TEXT_BYTES:
        tally["too long"] += 1
    elif any(b"\0" in value for value in present):
        tally["not valid text"] += 1
    else:
        try:
            return tuple(value.decode() for value in present)
        except UnicodeDecodeError:
            tally["not valid text"] += 1
    return None
