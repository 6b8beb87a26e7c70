"""Which of the teacher's layers a student is made of, and which it learns from. Layers count from 0."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from ..errors import ModelError

LAYER_CHOICES = ("regular", "bottom", "top", "distilbert")

LayerChoice = str | Sequence[int]
"""One of ``LAYER_CHOICES``, or the teacher's layers themselves, ascending: as many as the student has."""


class Alignment(NamedTuple):
    """Which states and maps of student and teacher belong together, numbered as for ``observe``."""

    student_hidden: tuple[int, ...]
    teacher_hidden: tuple[int, ...]
    student_attention: tuple[int, ...]
    teacher_attention: tuple[int, ...]


def layer_map(teacher_layers: int, student_layers: int, choice: LayerChoice = "regular") -> tuple[int, ...]:
    """The teacher's layer that each layer of the student is copied from.

    "regular" takes the last of each group of teacher / student layers, as BISTIL does, "bottom" the first layers,
    "top" the last ones, "distilbert" the first, the last and even steps between them (0, 2, 4, 7, 9, 11 for 6 of 12, as
    published); a list is taken as it is. ModelError as for ``check_layers``.
    """
    check_layers(teacher_layers, student_layers, choice)
    match choice:
        case "regular":
            return _group_ends(teacher_layers, student_layers)
        case "bottom":
            return tuple(range(student_layers))
        case "top":
            return tuple(range(teacher_layers - student_layers, teacher_layers))
        case "distilbert":
            step = (teacher_layers - 1) / max(student_layers - 1, 1)
            return tuple(round(layer * step) for layer in range(student_layers))
    return tuple(int(layer) for layer in choice)


def align_layers(
    teacher_layers: int, student_layers: int, choice: LayerChoice = "regular", top_only: bool = False
) -> Alignment:
    """Which layer of the student learns from which of the teacher.

    By name: the paper's alignment, whichever layers are copied. With f = teacher / student layers, student state i
    learns from teacher state i*f (rounded down), student map i from teacher map (i+1)*f - 1. By a list of layers: each
    layer learns from the one it is copied from, the embeddings from the embeddings. ``top_only`` keeps the last state
    and the last map. ModelError as for ``check_layers``.
    """
    check_layers(teacher_layers, student_layers, choice)
    taught_by = _group_ends(teacher_layers, student_layers) if isinstance(choice, str) else tuple(choice)
    pairs = Alignment(
        student_hidden=tuple(range(student_layers + 1)),
        teacher_hidden=(0, *(layer + 1 for layer in taught_by)),
        student_attention=tuple(range(student_layers)),
        teacher_attention=taught_by,
    )
    return Alignment(*(numbers[-1:] for numbers in pairs)) if top_only else pairs


def check_layers(teacher_layers: int, student_layers: int, choice: LayerChoice = "regular") -> None:
    """ModelError unless a student of so many layers can be cut from a teacher of so many.

    "regular" takes depths that divide, the other names any; a list must ascend, lie within the teacher and be as long
    as the student is deep.
    """
    if not isinstance(choice, str):
        _check_list(teacher_layers, student_layers, choice)
        return
    if choice not in LAYER_CHOICES:
        allowed = f"{', '.join(LAYER_CHOICES)} or a list of layers"
        raise ModelError(f"unknown choice of layers {choice!r}; allowed: {allowed} (distil.layer_choice)")
    depths = [n for n in range(1, teacher_layers + 1) if teacher_layers % n == 0 or choice != "regular"]
    if student_layers not in depths:
        hint = ""
        if 0 < student_layers < teacher_layers:
            named = ",".join(map(str, _group_ends(teacher_layers, student_layers)))
            hint = f", or say which layers: distil.layer_choice=[{named}]"
        raise ModelError(
            f"a student of {student_layers} layers cannot be cut from a teacher of {teacher_layers}; "
            f"allowed: {', '.join(map(str, depths))} (--layers){hint}"
        )


def _group_ends(teacher_layers: int, groups: int) -> tuple[int, ...]:
    """The last layer of each of so many groups of layers, as even as can be; the last group ends with the teacher."""
    return tuple((group + 1) * teacher_layers // groups - 1 for group in range(groups))


def _check_list(teacher_layers: int, student_layers: int, layers: Sequence[int]) -> None:
    ascending = all(before < after for before, after in pairwise(layers))
    if not layers or not ascending or layers[0] < 0 or layers[-1] >= teacher_layers:
        raise ModelError(
            f"the teacher's layers to copy are {list(layers)}; they must ascend, from 0 to {teacher_layers - 1} "
            "(distil.layer_choice)"
        )
    if len(layers) != student_layers:
        raise ModelError(
            f"{len(layers)} layers to copy are named for a student of {student_layers} (distil.layer_choice, --layers)"
        )
