"""Answers are compared by the rules of SQuAD 1.1: words without case, ASCII punctuation and English articles."""

from __future__ import annotations

import pytest

from bistil_ray.evaluate.answers import answer_scores


def scores(gold: list[str], predicted: str) -> tuple[float, float]:
    found = answer_scores([gold], [predicted])
    return found.exact_match, found.f1


@pytest.mark.parametrize(
    ("gold", "predicted"),
    [
        ("the Bank of Nairobi", "bank of  nairobi"),
        ("Mombasa", "Mombasa."),
        ("An apple, a pear", "apple pear"),
        ("U.S.", "us"),
        ("1,000", "1000"),
        ("co-operate", "cooperate"),
        ("The", "a"),
        ("ÀDÉ", "àdé"),
    ],
)
def test_answers_that_differ_in_what_does_not_count_are_the_same(gold: str, predicted: str) -> None:
    assert scores([gold], predicted) == (1.0, 1.0)


@pytest.mark.parametrize(
    ("gold", "predicted"),
    [("theory", "ory"), ("la maison", "maison"), ("anda", "nd"), ("àdé", "ade"), ("“Mombasa”", "Mombasa")],
)
def test_what_counts_in_other_languages_is_kept(gold: str, predicted: str) -> None:
    assert scores([gold], predicted)[0] == 0.0


def test_f1_counts_words_as_often_as_they_occur() -> None:
    assert scores(["new new york"], "york new city city") == (0.0, pytest.approx(2 * 2 / (3 + 4)))
    assert scores(["wa wa"], "wa") == (0.0, pytest.approx(2 / 3))
    assert scores(["the fish market"], "school") == (0.0, 0.0)


def test_the_best_fitting_answer_counts() -> None:
    assert scores(["school", "the old school", "bridge"], "old school") == (1.0, 1.0)
    assert scores(["a very old bridge", "old bridge here"], "old bridge") == (0.0, pytest.approx(4 / 5))


def test_a_question_without_answer_wants_an_empty_one() -> None:
    assert scores([], "") == (1.0, 1.0) and scores([], "bridge") == (0.0, 0.0)
    assert scores(["bridge"], "") == (0.0, 0.0)


def test_questions_count_alike() -> None:
    found = answer_scores([["a b", "c"], ["old bridge"], ["x"]], ["c", "bridge", "y"])
    assert (found.exact_match, found.f1) == pytest.approx((1 / 3, (1 + 2 / 3) / 3))
