"""Words that come from data, for a terminal: shown, not obeyed."""

from __future__ import annotations

import re

# Control characters but for tab and new line, what ends a line or turns its direction, and halves of surrogate pairs.
# Joiners stay: whole scripts are written with them.
_OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def visible(text: str) -> str:
    r"""Spell out what a terminal would obey instead of show, as Python does: ``\x1b`` for an escape."""
    return _OBEYED.sub(lambda found: ascii(found[0])[1:-1], text)
