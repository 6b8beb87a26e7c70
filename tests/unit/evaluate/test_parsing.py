"""Attachment scores count every word, and those of the published code only words below another."""

from __future__ import annotations

import pytest

from bistil_ray.evaluate.parsing import attachment_scores


def test_heads_and_relations_are_counted_word_by_word() -> None:
    gold = [[(2, "nsubj"), (0, "root"), (2, "punct")], [(0, "root"), (1, "obj")]]
    predicted = [[(2, "obj"), (0, "root"), (2, "punct")], [(2, "nsubj"), None]]
    scores = attachment_scores(gold, predicted)
    assert scores.uas == pytest.approx(3 / 5) and scores.las == pytest.approx(2 / 5)
    assert scores.uas_rootless == pytest.approx(2 / 3) and scores.las_rootless == pytest.approx(1 / 3)


def test_a_right_relation_to_a_wrong_head_is_wrong() -> None:
    assert attachment_scores([[(0, "root"), (1, "obj"), (1, "obj")]], [[(0, "root"), (3, "obj"), (1, "obj")]]).las < 1


def test_sentences_of_one_word_have_no_rootless_words() -> None:
    scores = attachment_scores([[(0, "root")]], [[(0, "root")]])
    assert (scores.uas, scores.las, scores.uas_rootless, scores.las_rootless) == (1, 1, 0, 0)
