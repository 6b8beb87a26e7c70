"""A setting's share is what it explains by itself, and nothing is read into noise."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable

import pytest

from bistil_ray.dashboard.importance import importance_of
from bistil_ray.results.records import Record
from tests.made_up_record import make_record


def grid(score: Callable[[str, float, int], float], **more: object) -> list[Record]:
    settings = itertools.product(("big", "small"), (0.02, 0.08, 0.32), (0, 1))
    return [
        make_record(
            f"finetune-{number}",
            teacher=teacher,
            density=density,
            seed=seed,
            score=score(teacher, density, seed),
            **more,
        )
        for number, (teacher, density, seed) in enumerate(settings)
    ]


def test_shares_are_those_of_an_additive_world() -> None:
    effects = {"big": 0.3, "small": 0.1, 0.02: 0.0, 0.08: 0.05, 0.32: 0.1}
    (found,) = importance_of(grid(lambda teacher, density, seed: effects[teacher] + effects[density]))
    teacher, density = 0.1**2, (0.05**2 + 0.05**2) / 3
    assert found.shares["teacher"] == pytest.approx(teacher / (teacher + density))
    assert found.shares["density"] == pytest.approx(density / (teacher + density))
    assert found.shares["seed"] == pytest.approx(0, abs=1e-9)
    assert found.rest + found.joint == pytest.approx(0, abs=1e-9)


def test_noise_is_rest_and_everything_adds_up() -> None:
    chance = random.Random(0)
    (found,) = importance_of(grid(lambda *settings: chance.random()))
    assert max(found.shares.values()) < 0.5 < found.rest
    assert sum(found.shares.values()) + found.joint + found.rest == pytest.approx(1)


def test_settings_that_never_varied_apart_are_one() -> None:
    records = [
        record.model_copy(update={"layers": 6 if record.teacher == "big" else 3})
        for record in grid(lambda teacher, density, seed: len(teacher) + density)
    ]
    (found,) = importance_of(records)
    assert set(found.shares) == {"teacher and layers", "density", "seed"}


def test_languages_stand_apart_and_baselines_and_teachers_are_left_out() -> None:
    records = grid(lambda teacher, density, seed: len(teacher) + density, validation_score=0.9)
    records += [
        make_record("evaluate-1", recipe="teacher", score=0.99),
        make_record("finetune-98", recipe="scratch", score=0.0, validation_score=0.1),
    ]
    records += [make_record("finetune-99", lang="yo")]
    (found,) = importance_of(records)
    assert (found.lang, found.recipe, found.students) == ("sw", "bistil", 12)


def test_where_there_is_no_student_to_judge_by_nothing_is_said() -> None:
    assert importance_of([]) == []
    too_few = [make_record(f"finetune-{n}", density=n / 10, score=n / 10) for n in (1, 2)]
    assert importance_of(too_few) == []
    assert importance_of([make_record(f"finetune-{n}", density=n / 9, score=0.5) for n in range(1, 5)]) == []
