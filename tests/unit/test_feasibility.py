"""What cannot be made from a teacher is refused before anything is spent, with what can be."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bistil_ray.config import RunConfig
from bistil_ray.config_sources import load_config
from bistil_ray.errors import BistilError
from bistil_ray.facts import Input, TeacherFacts
from bistil_ray.feasibility import check_merged_students, check_students

NOTHING = {"hidden_weight": 0, "attention_weight": 0}
TEACHER = TeacherFacts("big", Input("m", "m"), Input("t", "t"), 12, 768, 3072, 1000, "bert")


def config(**values: Any) -> RunConfig:
    return load_config(defaults={"langs": "sw", "teachers": "big", "corpora": "c", "task_data": "t", **values})


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"layers": [6, 4, 3], "hidden": [768, 384]},
        {"layers": [5], "distil": {"layer_choice": [0, 2, 4, 7, 11]}},
        {"distil": {"layer_choice": [0, 3, 11]}},
        {"layers": [5], "distil": {"layer_choice": "top"}},
        {"layers": [5], "recipes": ["minilmv2", "scratch"]},
        {"hidden": [384], "recipes": ["minilmv2"], "distil": {"relation_layer": 0, "relation_heads": 12}},
        {"distil": {"embedding_rank": 128}},
        {"recipes": ["teacher"]},
        {"recipes": ["bistil", "bistil+"], "finetune": {"text_share": 0.25}},
        {"recipes": ["bistil+"], "finetune": {"text_share": 0.5}},
        {"recipes": ["bistil+"], "finetune": {"hidden_weight": 0, "attention_weight": 0}},
        {"recipes": ["scratch"], "distil": NOTHING},
        {"distil": {**NOTHING, "steps": 0}},
        {"recipes": ["nodistil"], "finetune": {**NOTHING, "logit_weight": 0}},
    ],
)
def test_what_can_be_made_is_let_through(settings: dict[str, Any]) -> None:
    check_students(TEACHER, config(**settings))


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"layers": [5]}, "big: a student of 5 layers cannot be cut from a teacher of 12; allowed: 1, 2, 3, 4, 6, 12"),
        ({"layers": [4], "distil": {"layer_choice": [0, 3]}}, "2 layers to copy are named for a student of 4"),
        ({"layers": [13], "recipes": ["scratch"]}, "a student of 13 layers"),
        ({"hidden": [1024]}, "--hidden 1024 is more than the 768 units of big"),
        (
            {"recipes": ["bistil", "bistil+"], "finetune": {"text_share": 0.5}},
            "recipe bistil+ is bistil with finetune.text_share=0.5, which is set for both",
        ),
        ({"hidden": [384], "recipes": ["distilmbert"]}, "recipe distilmbert compares hidden states as they are"),
        ({"recipes": ["minilmv2"], "distil": {"relation_layer": 12}}, "distil.relation_layer is 12; allowed: 0 to 11"),
        ({"recipes": ["minilmv2"], "distil": {"relation_heads": 7}}, "distil.relation_heads"),
        ({"distil": {"embedding_rank": 768}}, "distil.embedding_rank is 768; allowed: 1 to 767"),
        ({"distil": {"embedding_rank": 200}, "hidden": [384, 192]}, "allowed: 1 to 191, below the 192 units"),
        ({"distil": NOTHING}, "all weights of distil are 0, there is nothing to learn: raise distil.hidden_weight"),
        ({"finetune": {**NOTHING, "logit_weight": 0}}, "all weights of finetune are 0"),
        (
            {"finetune": NOTHING, "task": "nli", "recipes": ["bistil+"]},
            "nothing to learn from plain text in phase 2 of nli: raise fi",
        ),
        (
            {"finetune": {**NOTHING, "logit_weight": 0, "label_weight": 1}, "recipes": ["bistil+"]},
            "from plain text in phase 2 of ner",
        ),
    ],
)
def test_what_cannot_be_made_is_refused_with_the_setting(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(BistilError) as caught:
        check_students(TEACHER, config(**settings))
    assert says in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "says"),
    [({"hidden": [384]}, "--hidden is there for"), ({"distil": {"embedding_rank": 64}}, "distil.embedding_rank is")],
)
def test_other_families_keep_their_width_and_embeddings(settings: dict[str, Any], says: str) -> None:
    modern = replace(TEACHER, family="modernbert")
    check_students(modern, config())
    with pytest.raises(BistilError, match=says):
        check_students(modern, config(**settings))


def test_a_teacher_of_an_odd_depth_wants_the_students() -> None:
    with pytest.raises(BistilError, match="has 11 layers, which cannot be halved"):
        check_students(replace(TEACHER, layers=11), config())


def test_a_merged_student_cannot_read_longer_texts_than_it_has_positions_for() -> None:
    check_merged_students(config(finetune={"max_length": 512}))
    check_merged_students(config(finetune={"max_length": 600}, packing={"length": 600}))
    with pytest.raises(BistilError, match="finetune.max_length is 600, but .* at most 512 tokens"):
        check_merged_students(config(finetune={"max_length": 600}))
