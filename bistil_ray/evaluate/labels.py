"""How good predicted labels are, where each example or word has one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sklearn.metrics import precision_recall_fscore_support


@dataclass(frozen=True)
class LabelScores:
    """Scores as fractions: share of right labels, F1 averaged over the labels that occur, and scores by label."""

    accuracy: float
    macro_f1: float
    by_label: dict[str, dict[str, float]]


def label_scores(gold: Sequence[str], predicted: Sequence[str]) -> LabelScores:
    """Compare labels one by one; the macro average runs over the labels of ``gold``."""
    kinds = sorted(set(gold))
    columns = precision_recall_fscore_support(gold, predicted, labels=kinds, average=None, zero_division=0)
    by_label = {
        kind: {"precision": float(p), "recall": float(r), "f1": float(f), "support": int(n)}
        for kind, p, r, f, n in zip(kinds, *columns, strict=True)
    }
    right = sum(one == other for one, other in zip(gold, predicted, strict=True))
    return LabelScores(right / len(gold), sum(scores["f1"] for scores in by_label.values()) / len(kinds), by_label)
