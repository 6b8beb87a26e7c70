"""Early stopping compares students that differ in their teachers alone, when all of them are there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import permutations
from typing import Any

import pytest

from bistil_ray.planning.halving import Halving, examined_at
from bistil_ray.planning.step import Step
from bistil_ray.settings import Pruning

LOOK = 20
"""The first of the steps after which students are compared."""


def student(
    teacher: str, lang: str = "sw", kind: str = "distil", recipe: str = "bistil", flops: float = 1e12, **settings: Any
) -> Step:
    shape = {"layers": 2, "hidden": 32, "seed": 0, "steps": 100, "evaluations": 10, **settings}
    name = "-".join(map(str, (teacher, lang, recipe, *settings.values())))
    return Step(kind, shape, {}, {}, name, {"lang": lang, "teacher": teacher, "recipe": recipe}, flops=flops)


def halving(
    steps: Sequence[Step], measured: Mapping[str, Mapping[int, float]] | None = None, **settings: Any
) -> Halving:
    return Halving(steps, Pruning(enabled=True, **settings), measured)


def keys(steps: Sequence[Step]) -> list[str]:
    return [step.key for step in steps]


FOUR = [student(name) for name in "abcd"]
BITS = dict(zip(keys(FOUR), (2.5, 1.5, 3.5, 2.0), strict=True))


@pytest.mark.parametrize("order", list(permutations(range(4)))[::5])
def test_who_goes_on_does_not_depend_on_the_order(order: tuple[int, ...]) -> None:
    race = halving(FOUR)
    *early, last = [FOUR[number].key for number in order]
    for key in early:
        assert race.pause_at(key) == LOOK
        assert race.reached(key, BITS[key]) == [], "nobody is judged before all are there"
    verdicts = {verdict.key: verdict for verdict in race.reached(last, BITS[last])}
    assert {key for key, verdict in verdicts.items() if verdict.goes_on} == {FOUR[1].key}
    assert verdicts[FOUR[2].key].reason == "3.50 bits per character after 20 steps, the best 1.50"
    assert race.pause_at(FOUR[1].key) is None, "who is left alone trains to the end"


def test_many_are_compared_several_times_ever_further_apart() -> None:
    steps = [student(f"{number}") for number in range(9)]
    race = halving(steps, grace=0.1, reduction=3)
    left, looks = keys(steps), []
    while (at := race.pause_at(left[0])) is not None:
        looks.append((at, len(left)))
        verdicts = [verdict for key in left for verdict in race.reached(key, float(key.split("-")[1]))]
        left = [verdict.key for verdict in verdicts if verdict.goes_on]
    assert looks == [(10, 9), (30, 3)] and left == [steps[0].key]


def test_languages_shapes_recipes_seeds_and_kinds_do_not_compete() -> None:
    others = [
        student("b", lang="ha"),
        student("b", recipe="minilmv2"),
        student("b", layers=1),
        student("b", hidden=16),
        student("b", seed=1),
        student("b", kind="merge"),
        student("c", flops=2e12),  # its teacher is deeper
    ]
    race = halving([FOUR[0], *others])
    assert [race.pause_at(step.key) for step in (FOUR[0], *others)] == [None] * 8
    assert halving(FOUR[:2]).pause_at(FOUR[0].key) == LOOK, "teachers do"


def test_steps_that_are_no_students_run_to_their_end() -> None:
    given = Step("distil", {"lang": "sw", "layers": 2, "hidden": 32, "seed": 0}, {}, {}, "given", {"lang": "sw"})
    tuned = Step("finetune", {"seed": 0}, {}, {}, "tuned", {"lang": "sw"})
    race = halving([*FOUR, given, tuned])
    for step in (given, tuned):
        assert race.pause_at(step.key) is None
        assert race.leave(step.key) == []


def test_those_who_wait_are_judged_when_the_last_one_leaves() -> None:
    race = halving(FOUR[:3], reduction=2)
    assert race.reached(FOUR[0].key, 2.0) == race.reached(FOUR[1].key, 1.0) == []
    verdicts = race.leave(FOUR[2].key)
    assert [(verdict.key, verdict.goes_on) for verdict in verdicts] == [(FOUR[1].key, True), (FOUR[0].key, False)]
    assert race.leave(FOUR[2].key) == [], "it has left already"


def test_what_an_earlier_run_has_measured_need_not_be_trained_again() -> None:
    first, second, third, _ = keys(FOUR)
    race = halving(FOUR[:3], {first: {20: 1.9, 100: 1.2}, second: {20: 1.5}})
    assert race.known() == []
    verdicts = race.reached(third, 2.5)
    assert {verdict.key: verdict.goes_on for verdict in verdicts} == {first: False, second: True, third: False}
    again = halving(FOUR[:3], {first: {20: 1.9, 100: 1.2}, second: {20: 1.5}, third: {20: 2.5}})
    assert again.known() == verdicts
    assert again.pause_at(second) is None


def test_nobody_waits_for_one_that_is_done_and_of_which_nothing_is_known() -> None:
    first, second, third, _ = keys(FOUR)
    race = Halving(FOUR[:3], Pruning(enabled=True), {first: {20: 1.9}}, done=[third])
    assert [(verdict.key, verdict.goes_on) for verdict in race.reached(second, 1.5)] == [(second, True), (first, False)]


def test_several_comparisons_may_be_known_already() -> None:
    steps = [student(f"{number}") for number in range(9)]
    measured = {step.key: {10: float(number)} for number, step in enumerate(steps)}
    for step in steps[:3]:
        measured[step.key][30] = 3.0 - measured[step.key][10]
    verdicts = {verdict.key: verdict for verdict in halving(steps, measured, grace=0.1, reduction=3).known()}
    assert [key for key in keys(steps) if verdicts[key].goes_on] == [steps[2].key]
    assert verdicts[steps[0].key].reason == "3.00 bits per character after 30 steps, the best 1.00"
    assert verdicts[steps[5].key].reason == "5.00 bits per character after 10 steps, the best 0.00"


def test_equal_students_are_not_all_kept() -> None:
    race = halving(FOUR)
    verdicts = [verdict for key in keys(FOUR) for verdict in race.reached(key, 2.0)]
    assert sum(verdict.goes_on for verdict in verdicts) == 1


@pytest.mark.parametrize(
    ("pruning", "evaluations", "look"),
    [({"grace": 0.2}, 10, 20), ({"grace": 0.25}, 10, 30), ({"grace": 0.2}, 2, 50), ({"grace": 0.2}, 1, None)]
    + [({"grace": 1.0}, 10, None)],
)
def test_students_are_compared_where_they_are_measured_and_never_at_their_end(
    pruning: dict[str, Any], evaluations: int, look: int | None
) -> None:
    steps = [student(name, evaluations=evaluations) for name in "ab"]
    assert halving(steps, **pruning).pause_at(steps[0].key) == look


def test_measures_are_evenly_spaced_and_end_with_the_last_step() -> None:
    assert examined_at({"steps": 10, "evaluations": 4}) == [2, 5, 7, 10]
    assert examined_at({"steps": 2, "evaluations": 5}) == [1, 2]
