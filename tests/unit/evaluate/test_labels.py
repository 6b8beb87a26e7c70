"""Labels are compared one by one: the share of right ones, and F1 averaged over labels."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest
import torch
from sklearn.metrics import accuracy_score, f1_score

from bistil_ray.evaluate.labels import label_scores


def test_scores_worked_out_by_hand() -> None:
    scores = label_scores(["yes", "yes", "yes", "no"], ["yes", "yes", "no", "no"])
    assert scores.accuracy == 0.75
    assert scores.by_label == {
        "no": {"precision": 0.5, "recall": 1.0, "f1": pytest.approx(2 / 3), "support": 1},
        "yes": {"precision": 1.0, "recall": pytest.approx(2 / 3), "f1": pytest.approx(0.8), "support": 3},
    }
    assert scores.macro_f1 == pytest.approx((2 / 3 + 0.8) / 2)


def test_the_scores_are_those_of_scikit_learn() -> None:
    generator = torch.Generator().manual_seed(0)
    gold, predicted = (["abcd"[i] for i in torch.randint(4, (300,), generator=generator)] for _ in range(2))
    scores = label_scores(gold, predicted)
    assert scores.accuracy == pytest.approx(accuracy_score(gold, predicted))
    assert scores.macro_f1 == pytest.approx(f1_score(gold, predicted, average="macro"))


@pytest.mark.filterwarnings("error")
def test_labels_that_never_occur_do_not_lower_the_average() -> None:
    scores = label_scores(["a", "b", "a"], ["a", "b", "c"])
    assert scores.accuracy == pytest.approx(2 / 3)
    assert scores.by_label.keys() == {"a", "b"} and scores.macro_f1 == pytest.approx((2 / 3 + 1) / 2)
    assert label_scores(["a"], ["b"]).macro_f1 == 0.0


def test_scores_can_be_written_down() -> None:
    scores = asdict(label_scores(["a", "b"], ["a", "a"]))
    assert json.loads(json.dumps(scores)) == scores
