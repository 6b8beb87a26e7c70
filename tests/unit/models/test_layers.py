"""Which layers are copied and which learn from each other, for every way to choose them."""

from __future__ import annotations

import pytest

from bistil_ray.errors import ModelError
from bistil_ray.models.layers import LAYER_CHOICES, Alignment, align_layers, check_layers, layer_map


@pytest.mark.parametrize(
    ("student", "expected"),
    [(12, tuple(range(12))), (6, (1, 3, 5, 7, 9, 11)), (4, (2, 5, 8, 11)), (3, (3, 7, 11)), (1, (11,))],
)
def test_regular_layers_are_the_last_of_each_group(student: int, expected: tuple[int, ...]) -> None:
    assert layer_map(12, student) == expected


@pytest.mark.parametrize("layers", [1, 4, 5, 12])
def test_bottom_and_top_layers_are_the_first_and_the_last_ones_at_any_depth(layers: int) -> None:
    assert layer_map(12, layers, "bottom") == tuple(range(12))[:layers]
    assert layer_map(12, layers, "top") == tuple(range(12))[-layers:]


def test_layers_of_distilbert_are_the_first_the_last_and_even_steps_between() -> None:
    assert layer_map(12, 6, "distilbert") == (0, 2, 4, 7, 9, 11)
    assert layer_map(12, 5, "distilbert") == (0, 3, 6, 8, 11)
    assert layer_map(12, 1, "distilbert") == (0,)


def test_named_layers_are_taken_as_they_are() -> None:
    assert layer_map(12, 5, [0, 2, 4, 7, 9]) == (0, 2, 4, 7, 9)


@pytest.mark.parametrize("choice", LAYER_CHOICES)
def test_alignment_is_that_of_the_paper_whatever_is_copied(choice: str) -> None:
    assert align_layers(12, 4, choice) == ((0, 1, 2, 3, 4), (0, 3, 6, 9, 12), (0, 1, 2, 3), (2, 5, 8, 11))
    assert align_layers(6, 3, choice, top_only=True) == ((3,), (6,), (2,), (5,))


@pytest.mark.parametrize("choice", [choice for choice in LAYER_CHOICES if choice != "regular"])
def test_depths_that_do_not_divide_are_aligned_evenly_up_to_the_last_layer(choice: str) -> None:
    assert align_layers(12, 5, choice) == ((0, 1, 2, 3, 4, 5), (0, 2, 4, 7, 9, 12), (0, 1, 2, 3, 4), (1, 3, 6, 8, 11))
    assert align_layers(6, 6, choice).teacher_hidden == (0, 1, 2, 3, 4, 5, 6)


def test_named_layers_learn_from_the_layers_they_are_copied_from() -> None:
    expected = Alignment((0, 1, 2, 3), (0, 1, 5, 8), (0, 1, 2), (0, 4, 7))
    assert align_layers(12, 3, [0, 4, 7]) == expected
    assert align_layers(12, 3, (0, 4, 7), top_only=True) == ((3,), (8,), (2,), (7,))
    assert align_layers(12, 4, layer_map(12, 4)) == align_layers(12, 4)


def test_depths_that_do_not_divide_are_refused_with_those_that_do() -> None:
    for layers in (5, 0, -2, 24):
        with pytest.raises(ModelError, match=r"allowed: 1, 2, 3, 4, 6, 12 \(--layers\)"):
            layer_map(12, layers)
    for layers in (0, 13):
        with pytest.raises(ModelError, match=r"allowed: 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12 \(--layers\)"):
            align_layers(12, layers, "top")


def test_the_layers_offered_where_depths_do_not_divide_can_be_used() -> None:
    with pytest.raises(ModelError, match=r"or say which layers: distil.layer_choice=\[1,3,6,8,11\]$"):
        check_layers(12, 5)
    check_layers(12, 5, [1, 3, 6, 8, 11])


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ("middle", r"unknown choice of layers 'middle'; allowed: regular, bottom, top, distilbert or a list"),
        ([0, 3, 2], r"\[0, 3, 2\]; they must ascend, from 0 to 5"),
        ([0, 3, 3], "they must ascend"),
        ([-1, 2, 3], "they must ascend, from 0 to 5"),
        ([0, 2, 6], "they must ascend, from 0 to 5"),
        ([], "they must ascend"),
        ([1, 2], r"2 layers to copy are named for a student of 3 \(distil.layer_choice, --layers\)"),
    ],
)
def test_choices_that_make_no_student_are_refused(choice: str | list[int], message: str) -> None:
    for function in (layer_map, align_layers):
        with pytest.raises(ModelError, match=message):
            function(6, 3, choice)
