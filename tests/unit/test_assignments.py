"""Which assignments a sweep tries, and that what they have in common is done once."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import Any

import pytest

from bistil_ray.assignment import parse_assignment
from bistil_ray.config import RunConfig
from bistil_ray.config_sources import load_config
from bistil_ray.errors import BistilError
from bistil_ray.facts import Facts, Input, TaskFacts, TeacherFacts
from bistil_ray.planning.assignments import choose_assignments, label
from bistil_ray.planning.plan import Plan, make_plan
from bistil_ray.settings import Merging

LANGUAGES = ("en", "sw", "yo")
NAMES = {"models/A": "A", "models/B": "B", "A": "A", "B": "B"}


def chosen(names: dict[str, str] = NAMES, languages: tuple[str, ...] = LANGUAGES, **settings: Any) -> list[str]:
    """What is tried, as ``A,B,A``, in the order of the languages."""
    made = choose_assignments(Merging(**settings), names, languages)
    assert all(tuple(assignment) == languages for assignment in made)
    return [",".join(assignment.values()) for assignment in made]


def test_all_there_are_if_they_are_not_too_many() -> None:
    assert chosen() == [",".join(names) for names in itertools.product("AB", repeat=3)]
    assert chosen({"A": "A"}) == ["A,A,A"]


def test_of_too_many_a_sample_holds_one_teacher_for_all_and_a_smaller_sample() -> None:
    names = {name: name for name in "ABC"}
    languages = tuple(f"l{number}" for number in range(40))
    few, more = chosen(names, languages, max_assignments=9), chosen(names, languages, max_assignments=12)
    assert few[:3] == [",".join([name] * 40) for name in "ABC"]
    assert (len(set(few)), len(set(more)), few) == (9, 12, more[:9])
    assert chosen(names, languages, max_assignments=1) == few[:3]
    assert len(chosen(max_assignments=7)) == 7


def test_the_teacher_of_the_body_has_a_language_in_each() -> None:
    assert chosen(body="models/A") == [text for text in chosen() if "A" in text]
    sample = chosen(body="B", max_assignments=3)
    assert sample[0] == "B,B,B" and len(set(sample)) == 3 and all("B" in text for text in sample)


def test_those_that_are_named_by_place_or_name() -> None:
    named = [{"yo": "B", "en": "models/A", "sw": "A"}, {"en": "B", "sw": "B", "yo": "B"}]
    assert chosen(assignments=named, max_assignments=1) == ["A,A,B", "B,B,B"]
    assert label({"en": "A", "sw": "B"}) == "en=A,sw=B"


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"assignments": [{"en": "A", "sw": "A"}]}, "has one for en,sw: each needs a teacher for en,sw,yo"),
        ({"assignments": [dict.fromkeys((*LANGUAGES, "ha"), "A")]}, "has one for en,sw,yo,ha"),
        (
            {"assignments": [{"en": "A", "sw": "A", "yo": "C"}]},
            "names 'C', which is none of --teachers: allowed",
        ),
        ({"assignments": [dict.fromkeys(LANGUAGES, "A")], "body": "B"}, "en=A,sw=A,yo=A, which lacks B"),
        ({"assignments": [{"swahli": "A"}]}, "unknown language 'swahli'"),
        ({"body": "C"}, "merge.body names 'C'"),
    ],
)
def test_mistakes(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(BistilError, match=says):
        chosen(**settings)


def teacher(name: str) -> TeacherFacts:
    model, tokenizer = Input(f"models/{name}", f"weights of {name}"), Input(f"models/{name}", f"tokens of {name}")
    return TeacherFacts(name, model, tokenizer, 12, 64, 256, 1000, "bert")


def config(**values: Any) -> RunConfig:
    least = {"langs": ["sw", "yo"], "teachers": ["models/A", "models/B"], "corpora": "c", "task_data": "n"}
    return load_config(defaults={**least, "recipes": ["mergedistill"], "densities": [0.1, 0.2], **values})


def plan(**values: Any) -> Plan:
    files = {lang: {"test": Input(f"ner/{lang}", f"labels in {lang}")} for lang in LANGUAGES}
    files["en"]["train"] = Input("ner/en/train", "training labels")
    corpora = {lang: Input("corpora", f"texts in {lang}") for lang in LANGUAGES}
    task = TaskFacts(files, {256: {"en": 3200}, 99: {"en": 3000}}, ("B-PER", "O"))
    return make_plan(config(**values), Facts([teacher("A"), teacher("B")], corpora, task))


def test_predictions_are_made_once_for_each_teacher_and_language_however_many_students_take_them() -> None:
    one = plan(merge={"assignments": [dict.fromkeys(LANGUAGES, "A")]})
    every = plan()
    kinds = ("pack", "predict", "merge")
    assert [one.by_kind()[kind] for kind in kinds] == [3, 3, 1]
    assert [every.by_kind()[kind] for kind in kinds] == [2 * 3, 2 * 3, 2**3]
    assert {step.key for step in one} < {step.key for step in every}


def test_a_student_is_tuned_once_for_each_density_and_seed_and_scored_on_every_target() -> None:
    made = plan(seeds=[0, 1], layers=[3, 6])
    students = 2**3 * 2 * 2
    tuned = [step for step in made if step.kind == "task-teacher" and "student" in step.needs]
    scored = [step for step in made if step.kind == "evaluate" and "student" in step.needs]
    assert made.by_kind()["merge"] == students
    assert (len(tuned), len(scored)) == (students * 2, students * 2 * 2)
    assert Counter(step.about["lang"] for step in scored) == {"sw": students * 2, "yo": students * 2}
    for step in scored:
        own = parse_assignment(step.about["assignment"])
        assert step.about["teacher"] == own[step.about["lang"]]
        compared = next(other for other in made if other.key == step.needs["evaluate"])
        assert (compared.about["teacher"], compared.about["lang"]) == (step.about["teacher"], step.about["lang"])
    assert scored[0].title == "evaluate sw A en=A,sw=A,yo=A 3 layers mergedistill density 0.1"


def test_phase_2_has_the_settings_of_students() -> None:
    made = plan(finetune={"lr": 0.5, "dense_epochs": 2, "sparse_epochs": 7, "max_length": 99}, teach={"lr": 0.25})
    tuned = next(step for step in made if step.kind == "task-teacher" and "student" in step.needs)
    assert [tuned.settings[name] for name in ("lr", "epochs", "sparse_epochs", "max_length")] == [0.5, 2, 7, 99]
    scored = next(step for step in made if step.needs.get("task_teacher") == tuned.key)
    assert scored.settings["max_length"] == 99


def test_a_student_all_of_whose_parameters_may_change_is_tuned_in_one_piece() -> None:
    made = plan(finetune={"dense_epochs": 2, "sparse_epochs": 7}, densities=[1])
    tuned = next(step for step in made if step.kind == "task-teacher" and "student" in step.needs)
    assert [tuned.settings[name] for name in ("density", "epochs", "sparse_epochs")] == [None, 7, 0]
    assert tuned.about["density"] == 1


def test_which_assignments_there_are_is_no_part_of_a_student() -> None:
    one = {step.key for step in plan(merge={"assignments": [dict.fromkeys(LANGUAGES, "B")]})}
    assert one < {step.key for step in plan(merge={"max_assignments": 2})}


def test_beside_other_recipes_nothing_of_theirs_changes() -> None:
    alone, both = plan(recipes=["bistil"]), plan(recipes=["bistil", "mergedistill"])
    assert {step.key for step in alone} < {step.key for step in both}
    assert {step.key for step in plan()} < {step.key for step in both}


def test_a_body_gives_the_student_its_width_and_half_of_its_layers() -> None:
    merged = [step for step in plan(merge={"body": "B"}) if step.kind == "merge"]
    assert {(step.settings["layers"], step.settings["hidden"]) for step in merged} == {(6, 64)}
    assert all(step.inputs[f"teacher-{step.settings['body']}"] == "models/B" for step in merged)
    with pytest.raises(BistilError, match="leave out --hidden or --body"):
        plan(merge={"body": "B"}, hidden=[32])
