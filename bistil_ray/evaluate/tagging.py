"""How good predicted tags are: spans by the rules of the CoNLL shared tasks, or words one by one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from seqeval.metrics.sequence_labeling import get_entities, precision_recall_fscore_support

from .labels import LabelScores, label_scores

Tags = Sequence[Sequence[str]]


@dataclass(frozen=True)
class SpanScores:
    """Span scores as fractions, over all spans and by type (there with ``support``, the gold spans)."""

    precision: float
    recall: float
    f1: float
    by_type: dict[str, dict[str, float]]


def span_scores(gold: Tags, predicted: Tags) -> SpanScores:
    """Compare spans: one counts as found only with its exact borders and type (CoNLL, seqeval's default).

    The overall scores are micro averages; with nothing to find or nothing found they are 0.
    """
    gold, predicted = [list(tags) for tags in gold], [list(tags) for tags in predicted]
    precision, recall, f1, _ = precision_recall_fscore_support(gold, predicted, average="micro", zero_division=0)
    types = sorted({span[0] for span in get_entities(gold) + get_entities(predicted)})
    columns = precision_recall_fscore_support(gold, predicted, average=None, zero_division=0)
    by_type = {
        kind: {"precision": float(p), "recall": float(r), "f1": float(f), "support": int(n)}
        for kind, p, r, f, n in zip(types, *columns, strict=True)
    }
    return SpanScores(float(precision), float(recall), float(f1), by_type)


def word_scores(gold: Tags, predicted: Tags) -> LabelScores:
    """Compare tags word by word."""
    return label_scores([tag for tags in gold for tag in tags], [tag for tags in predicted for tag in tags])
