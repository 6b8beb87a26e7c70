"""Words from data and configurations in Markdown: shown, and neither markup nor the end of it."""

from __future__ import annotations

import re

from ..terminal import visible

_MARKUP = re.compile(r"([\\`*\[\]<|!#])")


def words(text: str) -> str:
    """Escape what would be markup, and put all on one line."""
    return _MARKUP.sub(r"\\\1", _one_line(text))


def code(text: str) -> str:
    """Put words into a span of code, which they cannot leave."""
    return f"`{_one_line(text).replace('`', chr(39))}`"


def _one_line(text: str) -> str:
    return " ".join(visible(text).split())
