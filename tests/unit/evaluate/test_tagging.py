"""Tags are scored by the rules of CoNLL, or word by word."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest
import torch
from seqeval.metrics import f1_score

from bistil_ray.evaluate.tagging import Tags, span_scores, word_scores

LABELS = ("B-LOC", "B-PER", "I-LOC", "I-PER", "O")


def span_f1(gold: Tags, predicted: Tags) -> float:
    return span_scores(gold, predicted).f1


def test_a_span_counts_with_exact_borders_and_type() -> None:
    gold = [["B-PER", "I-PER", "O", "B-LOC"], ["B-LOC", "I-LOC", "O"]]
    predicted = [["B-PER", "I-PER", "O", "B-PER"], ["B-LOC", "O", "O"]]
    scores = span_scores(gold, predicted)
    assert (scores.precision, scores.recall, scores.f1) == pytest.approx((1 / 3, 1 / 3, 1 / 3))
    assert scores.by_type == {
        "LOC": {"precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 2},
        "PER": {"precision": 0.5, "recall": 1.0, "f1": pytest.approx(2 / 3), "support": 1},
    }


def test_a_span_may_begin_inside_and_neighbours_stay_apart() -> None:
    assert span_f1([["O", "I-PER", "I-PER"]], [["O", "B-PER", "I-PER"]]) == 1.0
    assert span_f1([["B-PER", "B-PER"]], [["B-PER", "I-PER"]]) == 0.0
    assert span_f1([["I-PER", "I-LOC"]], [["B-PER", "B-LOC"]]) == 1.0


def test_spans_do_not_reach_across_sentences() -> None:
    assert span_f1([["B-PER"], ["I-PER"]], [["B-PER"], ["B-PER"]]) == 1.0


def test_the_score_is_that_of_seqeval() -> None:
    generator = torch.Generator().manual_seed(0)
    gold, predicted = (
        [[LABELS[i] for i in row] for row in torch.randint(5, (60, 9), generator=generator)] for _ in range(2)
    )
    assert 0 < span_f1(gold, predicted) == pytest.approx(f1_score(gold, predicted))


def test_tuples_are_scored_as_lists_are() -> None:
    gold = (("B-PER", "I-PER"), ("O", "B-LOC"))
    assert span_scores(gold, [["B-PER", "I-PER"], ["O", "O"]]).f1 == pytest.approx(2 / 3)


@pytest.mark.filterwarnings("error")
def test_nothing_found_and_nothing_to_find_score_zero() -> None:
    assert span_f1([["B-PER", "O"]], [["O", "O"]]) == 0.0
    assert span_f1([["O", "O"]], [["B-PER", "O"]]) == 0.0
    assert span_scores([["O"]], [["O"]]).by_type == {} and span_f1([["O"]], [["O"]]) == 0.0


def test_scores_can_be_written_down() -> None:
    scores = asdict(span_scores([["B-PER"]], [["B-PER"]]))
    assert json.loads(json.dumps(scores)) == scores


def test_words_count_one_by_one_however_long_their_sentences() -> None:
    scores = word_scores([["NOUN", "VERB", "NOUN"], ["ADJ"]], [["NOUN", "NOUN", "NOUN"], ["ADJ"]])
    assert scores.accuracy == 3 / 4
    assert scores.by_label["NOUN"] == {"precision": pytest.approx(2 / 3), "recall": 1.0, "f1": 0.8, "support": 2}
