"""Tagging: what a model predicts, and how good it is by the rules of the CoNLL shared tasks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from seqeval.metrics.sequence_labeling import get_entities, precision_recall_fscore_support
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from ..data.tasks import NO_SPAN, TaggedSentences, encode_words

Tags = Sequence[Sequence[str]]


@dataclass(frozen=True)
class TaggingScores:
    """Span scores as fractions, over all spans and by type (there with ``support``, the gold spans)."""

    precision: float
    recall: float
    f1: float
    by_type: dict[str, dict[str, float]]


def predict_tags(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    sentences: TaggedSentences,
    labels: Sequence[str],
    batch_size: int = 32,
    max_length: int = 256,
) -> list[list[str]]:
    """Predict a tag for each word of each sentence, from the logits (B, T, L) at its first sub-word.

    ``labels`` are the names of the L outputs. A word that has no sub-word within ``max_length`` gets ``O``.
    The model is used in evaluation mode and left in the mode it was in.
    """
    input_ids, places = encode_words(tokenizer, sentences.words, max_length)
    predicted = [[NO_SPAN] * len(words) for words in sentences.words]
    by_length = sorted(range(len(input_ids)), key=lambda index: len(input_ids[index]))
    training = model.training
    model.eval()
    for start in range(0, len(by_length), batch_size):
        chosen = by_length[start : start + batch_size]
        best = _best_labels(model, [input_ids[index] for index in chosen], tokenizer.pad_token_id)
        for index, row in zip(chosen, best, strict=True):
            for word, position in enumerate(places[index]):
                if position >= 0:
                    predicted[index][word] = labels[row[position]]
    model.train(training)
    return predicted


def tagging_scores(gold: Tags, predicted: Tags) -> TaggingScores:
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
    return TaggingScores(float(precision), float(recall), float(f1), by_type)


def span_f1(gold: Tags, predicted: Tags) -> float:
    """Give the micro-averaged F1 over spans, a fraction."""
    return tagging_scores(gold, predicted).f1


def _best_labels(model: PreTrainedModel, rows: Sequence[list[int]], pad_id: int) -> list[list[int]]:
    length = max(map(len, rows))
    ids_BT = torch.tensor([row + [pad_id] * (length - len(row)) for row in rows], device=model.device)
    mask_BT = torch.tensor([[1] * len(row) + [0] * (length - len(row)) for row in rows], device=model.device)
    with torch.inference_mode():
        return model(input_ids=ids_BT, attention_mask=mask_BT).logits.argmax(-1).tolist()
