"""The forms of an exported model side by side: size, likeness, scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Form:
    """What a form of the model weighs in bytes, how far its outputs are from PyTorch's, and its scores by language.

    ``difference`` is the largest one of a logit, as a share of 1 + its absolute value.
    """

    name: str
    bytes: int
    difference: float = 0.0
    scores: dict[str, float] = field(default_factory=dict)


def form_table(forms: Sequence[Form], metric: str) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Give columns and rows; the first form is the one that others are compared with."""
    first = forms[0]
    columns = ("form", "size", "share", "difference", *(f"{metric} {lang}" for lang in first.scores))
    rows = [
        (
            form.name,
            f"{form.bytes / 1e6:.1f} MB",
            f"{form.bytes / first.bytes:.0%}",
            f"{form.difference:.1e}" if form is not first else "-",
            *(f"{score:.3f}" for score in form.scores.values()),
        )
        for form in forms
    ]
    return columns, rows


def form_section(forms: Sequence[Form], metric: str) -> str:
    """Write the table as a section of a card; nothing for a model in its own form alone."""
    if len(forms) == 1:
        return ""
    columns, rows = form_table(forms, metric)
    lines = [columns, ("---", *("--:" for _ in columns[1:])), *rows]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return (
        f"## Forms\n\n{table}\n\nDifference: the largest one of a logit from PyTorch's on a few sentences, as a share "
        "of 1 + its absolute value. Scores are of the same examples. This folder holds the last form."
    )
