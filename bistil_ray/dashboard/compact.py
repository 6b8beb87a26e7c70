"""Rows of thousands of steps written small: by column, each repeated value once."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

DIGITS = 5
"""Significant digits of a fraction: more than any picture shows."""
EXACT = 12
"""Those of a score, which the page compares with others and rounds: 0.144503 is 0.145, and 0.1445 would be 0.144."""


def compact_table(rows: Sequence[Mapping[str, Any]], digits: int = DIGITS) -> dict[str, Any]:
    """Write rows as columns: ``{"all": value}``, ``{"words": [...], "at": [...]}`` or ``{"each": [...]}``.

    ``at`` holds places in ``words``. What a row lacks is None. Fractions have so many significant ``digits``.
    """
    names = dict.fromkeys(name for row in rows for name in row)
    return {"rows": len(rows), "columns": {name: _column([row.get(name) for row in rows], digits) for name in names}}


def _column(values: Sequence[Any], digits: int) -> dict[str, Any]:
    shown = [_rounded(value, digits) for value in values]
    words = {json.dumps(value): value for value in shown}
    if len(words) == 1:
        return {"all": shown[0]}
    if len(words) > len(shown) // 2 or all(isinstance(value, int) for value in shown):
        return {"each": shown}
    places = {word: place for place, word in enumerate(words)}
    return {"words": list(words.values()), "at": [places[json.dumps(value)] for value in shown]}


def _rounded(value: Any, digits: int) -> Any:  # noqa: ANN401
    """Cut a fraction's digits; NaN and infinity, which JSON does not know, become None."""
    if not isinstance(value, float):
        return value
    if value != value or value in (float("inf"), float("-inf")):
        return None
    return int(value) if value.is_integer() else float(f"{value:.{digits}g}")


def compact_numbers(values: Sequence[float]) -> list[Any]:
    """Write numbers with no more digits than a picture shows."""
    return [_rounded(float(value), DIGITS) for value in values]
