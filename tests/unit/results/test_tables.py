"""What is chosen, in which order it is shown, and that nothing is lost on the way to CSV and JSON."""

from __future__ import annotations

import csv
import io
import itertools

import pytest

from bistil_ray.errors import ConfigError
from bistil_ray.results.records import Record
from bistil_ray.results.tables import arrange, best_per_language, of_languages, to_csv
from tests.made_up_record import make_record


def steps(records: list[Record]) -> list[str]:
    return [record.step for record in records]


def test_the_best_student_has_the_highest_validation_score_whatever_its_test_score() -> None:
    records = [
        make_record("lucky", score=0.9, validation_score=0.6),
        make_record("chosen", score=0.5, validation_score=0.8),
        make_record("teacher", recipe="teacher", score=1.0, validation_score=1.0),
        make_record("other language", lang="yo", validation_score=0.1),
    ]
    assert {lang: record.step for lang, record in best_per_language(records).items()} == {
        "sw": "chosen",
        "yo": "other language",
    }


@pytest.mark.parametrize("density", [None, 0.08])
def test_among_recipes_the_student_is_chosen_that_promises_most_of_a_good_teacher(density: float | None) -> None:
    teachers = [
        make_record("good", teacher="a", recipe="teacher", density=density, validation_score=0.9),
        make_record("other", teacher="a", recipe="teacher", density=0.3, validation_score=0.1, agreement=0.5),
        make_record("weak", teacher="b", recipe="teacher", density=density, validation_score=0.4),
    ]
    learned_english = make_record("english", teacher="a", recipe="bistil", validation_score=0.9, agreement=0.5)
    follows = make_record("follows", teacher="a", recipe="bistil+", validation_score=0.6, agreement=0.7)
    follows_the_weak = make_record("weak's", teacher="b", recipe="nodistil", validation_score=0.7, agreement=0.9)
    students = [learned_english, follows, follows_the_weak]
    assert best_per_language([*teachers, *students])["sw"] is follows
    assert best_per_language([*teachers, learned_english, follows_the_weak])["sw"] is learned_english
    unknown = make_record("unknown", teacher="a", recipe="scratch", validation_score=0.1, agreement=None)
    for some in ([*teachers, *students, unknown], students):
        assert best_per_language(some)["sw"] is learned_english, "what is not known of one cannot decide"


def test_among_students_of_one_recipe_validation_decides_whatever_agrees_most() -> None:
    teacher = make_record("teacher", recipe="teacher", density=None, validation_score=0.9)
    chosen = make_record("chosen", validation_score=0.8, agreement=0.3)
    other = make_record("other", validation_score=0.7, agreement=0.9)
    assert best_per_language([teacher, chosen, other])["sw"] is chosen


def test_validation_in_the_target_itself_decides_among_recipes_too() -> None:
    teacher = make_record("teacher", recipe="teacher", density=None, validation_score=0.9)

    def best(validation_lang: str | None) -> str:
        right = make_record(
            "right", recipe="nodistil", validation_score=0.8, agreement=0.3, validation_lang=validation_lang
        )
        follows = make_record("follows", validation_score=0.7, agreement=0.9, validation_lang=validation_lang)
        return best_per_language([teacher, right, follows])["sw"].step

    assert (best("sw"), best("en"), best(None)) == ("right", "follows", "follows")


def test_among_equals_the_smaller_student_is_chosen() -> None:
    records = [make_record("big", params=9), make_record("small", params=3), make_record("middle", params=5)]
    assert best_per_language(records)["sw"].step == "small"


def test_a_student_without_validation_score_is_chosen_only_where_none_has_one() -> None:
    unknown, zero = make_record("unknown", validation_score=None), make_record("zero", validation_score=0.0)
    assert best_per_language([unknown, zero])["sw"] is zero
    assert best_per_language([unknown])["sw"] is unknown


def test_a_language_with_nothing_but_its_teacher_has_no_best_student() -> None:
    assert best_per_language([make_record("teacher", recipe="teacher")]) == {}


def test_languages_stay_together_with_the_teachers_first_and_the_best_student_next() -> None:
    records = [
        make_record("yo 1", lang="yo", score=0.1),
        make_record("sw 1", score=0.2),
        make_record("sw 2", score=0.3),
        make_record("yo teacher", lang="yo", recipe="teacher", score=0.05),
        make_record("yo 2", lang="yo", score=0.4),
    ]
    assert steps(arrange(records)) == ["yo teacher", "yo 2", "yo 1", "sw 2", "sw 1"]


def test_sizes_and_times_are_sorted_upwards_and_what_was_not_measured_comes_last() -> None:
    records = [
        make_record("unknown", latency_ms=None),
        make_record("slow", latency_ms=9.0),
        make_record("fast", latency_ms=1.0),
    ]
    assert steps(arrange(records, "latency_ms")) == ["fast", "slow", "unknown"]


def test_a_misspelt_field_is_refused_with_the_near_one() -> None:
    with pytest.raises(ConfigError, match="--sort 'scoer'.*did you mean score"):
        arrange([make_record("a")], "scoer")


def test_a_language_the_run_does_not_have_is_refused_with_those_it_has() -> None:
    records = [make_record("a"), make_record("b", lang="yo")]
    assert steps(of_languages(records, ["yo"])) == ["b"]
    with pytest.raises(ConfigError, match="--lang ha: it has sw, yo"):
        of_languages(records, ["ha"])


def test_the_order_of_records_has_no_part_in_the_choice() -> None:
    """Where all promise nothing it is agreement that decides, and in the end the name of a step."""
    teacher = make_record("t", recipe="teacher", validation_score=0.0, agreement=None)
    recipes = ("bistil", "scratch", "nodistil")
    tied = [
        make_record(f"{recipe}-{number}", recipe=recipe, validation_score=0.5, agreement=agreed, score=score)
        for recipe, agreed in zip(recipes, (0.3, 0.7, 0.3), strict=True)
        for number, score in enumerate((0.9, 0.1))
    ]
    for order in itertools.islice(itertools.permutations([teacher, *tied]), 0, None, 97):
        assert best_per_language(order)["sw"].step == "scratch-1"


def test_csv_holds_every_field() -> None:
    record = make_record("a", teacher='with, comma "and" quotes', density=None, retention=0.75)
    row = next(csv.DictReader(io.StringIO(to_csv([record]))))
    assert row["teacher"] == record.teacher
    assert (row["density"], row["retention"]) == ("", "0.75")
    assert set(row) == set(Record.model_fields)
