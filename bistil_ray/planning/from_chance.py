"""The shape of a model that starts from chance, where nobody says it."""

from __future__ import annotations

LAYERS, HIDDEN = 6, 256
UNITS = 64
"""Of an attention head, at least."""


def default_heads(hidden: int) -> int:
    """Give as many attention heads as divide the width ``hidden`` into parts of ``UNITS`` or more."""
    return max(heads for heads in range(1, max(1, hidden // UNITS) + 1) if hidden % heads == 0)
