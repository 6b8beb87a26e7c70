"""Recipes side by side: seeds are averaged, settings chosen by validation, teachers come first."""

from __future__ import annotations

import pytest

from bistil_ray.results.comparison import compare_recipes, settings_of
from tests.made_up_record import make_record


def test_seeds_become_mean_and_spread() -> None:
    records = [make_record(f"s{seed}", seed=seed, score=score) for seed, score in enumerate((0.5, 0.6, 0.7))]
    (setting,) = settings_of(records)
    assert abs(setting.mean - 0.6) < 1e-12 and setting.spread is not None and abs(setting.spread - 0.1) < 1e-12
    assert compare_recipes(records) == (("recipe", "sw"), [("bistil", "0.600 ± 0.100")])


def test_a_single_seed_has_no_spread() -> None:
    assert compare_recipes([make_record("a", score=0.25)])[1] == [("bistil", "0.250")]


def test_other_depths_widths_densities_and_teachers_are_other_settings() -> None:
    changes = [{}, {"layers": 2}, {"hidden": 24}, {"density": 0.3}, {"teacher": "other"}, {"recipe": "scratch"}]
    changes += [{"assignment": "en=A,sw=B"}, {"assignment": "en=B,sw=B"}]
    assert len(settings_of(make_record(str(number), **change) for number, change in enumerate(changes))) == len(changes)


def test_the_setting_shown_is_chosen_by_validation_and_not_by_the_test_score() -> None:
    records = [
        make_record("a", density=0.02, validation_score=0.9, score=0.4),
        make_record("b", density=0.08, validation_score=0.8, score=0.6),
    ]
    assert compare_recipes(records)[1] == [("bistil", "0.400")]


@pytest.mark.parametrize("density", [None, 0.08])
def test_a_teacher_tuned_sparsely_has_a_row_beside_the_one_that_students_learn_from(density: float | None) -> None:
    records = [
        make_record("a", recipe="teacher", density=density, validation_score=0.5, score=0.8),
        make_record("b", recipe="teacher", density=0.3, validation_score=0.9, score=0.6, agreement=0.7),
        make_record("c", score=0.7),
    ]
    assert compare_recipes(records)[1] == [("teacher", "0.800"), ("teacher, sparse", "0.600"), ("bistil", "0.700")]


def test_languages_are_columns_and_what_is_missing_is_a_dash() -> None:
    records = [
        make_record("a", lang="sw", score=0.4),
        make_record("b", lang="yo", score=0.2),
        make_record("c", lang="sw", score=0.1, recipe="scratch"),
        make_record("d", lang="sw", score=0.8, recipe="teacher", density=None),
    ]
    assert compare_recipes(records) == (
        ("recipe", "sw", "yo", "mean"),
        [("teacher", "0.800", "-", "-"), ("bistil", "0.400", "0.200", "0.300"), ("scratch", "0.100", "-", "-")],
    )
