"""Which steps a plan has: work that is shared stands in it once, and in an order of execution."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from bistil_ray.facts import Input
from bistil_ray.planning.plan import Plan, make_plan
from bistil_ray.planning.step import Step
from tests.made_up_plan import LANGS, config, facts, keys, teacher


def test_every_piece_of_work_stands_in_the_plan_once() -> None:
    plan = make_plan(config(), facts())
    assert plan.by_kind() == {"pack": 3, "task-teacher": 2, "evaluate": 6, "distil": 6, "finetune": 18}
    assert len(keys(plan)) == len(plan) == 35
    assert plan.largest_model == teacher("big").parameters


def test_teachers_of_different_tokenizers_have_packs_of_their_own() -> None:
    plan = make_plan(config(), facts(LANGS, teacher("big"), teacher("small", tokenizer="unigram")))
    assert plan.by_kind()["pack"] == 6
    assert plan.by_kind()["distil"] == 6


def test_seeds_recipes_and_layers_multiply_students_but_not_teachers() -> None:
    plan = make_plan(config(seeds=[0, 1], recipes=["bistil", "scratch"], layers=[6, 3]), facts())
    assert plan.by_kind() == {"pack": 3, "task-teacher": 2, "evaluate": 6, "distil": 48, "finetune": 144}


def test_a_student_has_half_of_its_own_teachers_layers() -> None:
    plan = make_plan(config(), facts(LANGS, teacher("big"), teacher("small", layers=6)))
    assert {(step.about["teacher"], step.settings["layers"]) for step in plan if step.kind == "distil"} == {
        ("big", 6),
        ("small", 3),
    }


def test_recipes_that_begin_alike_share_phase_1() -> None:
    both, one = make_plan(config(recipes=["bistil", "nodistil"]), facts()), make_plan(config(), facts())
    assert keys(both, "distil") == keys(one, "distil")
    assert both.by_kind()["finetune"] == 2 * one.by_kind()["finetune"]


def test_bistil_plus_is_bistil_whose_second_phase_sees_plain_text_too() -> None:
    def tuned(*recipes: str, **finetune: float) -> list[Step]:
        plan = make_plan(config(recipes=recipes, finetune=finetune), facts())
        return [step for step in plan if step.kind == "finetune"]

    both = tuned("bistil", "bistil+")
    plain, plus = ([step for step in both if step.about["recipe"] == name] for name in ("bistil", "bistil+"))
    assert [step.needs["student"] for step in plain] == [step.needs["student"] for step in plus]
    assert [step.tokens for step in plain] == [step.tokens for step in plus]
    assert all("pack" in step.needs for step in plus) and not any("pack" in step.needs for step in plain)
    assert {step.key for step in plus} == {step.key for step in tuned("bistil", text_share=0.5)}
    assert keys(Plan(tuple(tuned("nodistil", text_share=0.5)))) == keys(Plan(tuple(tuned("nodistil"))))


def test_a_setting_of_one_recipe_is_no_part_of_the_others() -> None:
    recipes = ["scratch", "minilmv2", "bistil"]

    def students(**values: Any) -> dict[str, set[str]]:
        steps = [step for step in make_plan(config(recipes=recipes, distil=values), facts()) if step.kind == "distil"]
        return {recipe: {step.key for step in steps if step.about["recipe"] == recipe} for recipe in recipes}

    plain = students()
    changed = {name: students(**{name: value}) for name, value in (("relation_heads", 2), ("hidden_weight", 2.0))}
    assert {recipe for recipe in recipes if plain[recipe] != changed["relation_heads"][recipe]} == {"minilmv2"}
    assert {recipe for recipe in recipes if plain[recipe] != changed["hidden_weight"][recipe]} == {"bistil"}


def test_the_recipe_teacher_tunes_the_teacher_and_makes_no_student() -> None:
    plan = make_plan(config(recipes=["teacher"], seeds=[0, 1], densities=[0.08]), facts())
    assert plan.by_kind() == {"task-teacher": 6, "evaluate": 18}
    assert {step.about.get("density") for step in plan if step.kind == "evaluate"} == {None, 0.08}
    assert all("evaluate" in step.needs for step in plan if step.about.get("density") and step.kind == "evaluate")


def test_teachers_are_adapted_to_each_language_once() -> None:
    plan = make_plan(config(adapt={"enabled": True}), facts())
    assert plan.by_kind()["adapt"] == 2 * 4 and plan.by_kind()["pack"] == 3 + 4
    needs = {step.kind: set(step.needs) for step in plan if step.about.get("lang") == "sw"}
    assert needs["distil"] == {"pack", "sft-en", "sft-sw"}
    assert needs["evaluate"] == {"task_teacher", "sft-en", "sft-sw"}
    assert needs["finetune"] == {"student", "task_teacher", "evaluate", "sft-en"}
    plus = make_plan(config(adapt={"enabled": True}, recipes=["bistil+"]), facts())
    needs = {step.kind: set(step.needs) for step in plus if step.about.get("lang") == "sw"}
    assert needs["finetune"] == {"student", "task_teacher", "evaluate", "pack", "sft-en", "sft-sw"}
    assert {role for step in plan if step.kind == "task-teacher" for role in step.needs} == {"sft-en"}


def test_given_language_sfts_are_taken_instead_of_trained() -> None:
    given = {lang: Input(f"sft/{lang}", f"sft of {lang}") for lang in ("en", *LANGS)}
    plan = make_plan(config(), replace(facts(), language_sfts=given))
    taken = [step for step in plan if step.kind == "adapt"]
    assert len(taken) == 8 and all("sft" in step.inputs and not step.flops for step in taken)
    assert plan.by_kind()["pack"] == 3


def test_a_student_learns_from_the_labels_of_languages_it_speaks() -> None:
    known = facts()
    files = {lang: {**splits, "train": Input(f"ner/{lang}/train", lang)} for lang, splits in known.task.files.items()}
    task = replace(known.task, files=files, train_tokens={256: {"en": 3200, "sw": 1600}})
    plan = make_plan(config(task_sources=["en", "sw"]), replace(known, task=task))
    (one, *_) = (step for step in plan if step.kind == "task-teacher")
    assert {"train-en", "train-sw"} <= set(one.inputs)
    learned = {step.settings["lang"]: step.settings["sources"] for step in plan if step.kind == "finetune"}
    assert learned == {"sw": ["en", "sw"], "yo": ["en"], "ha": ["en"]}


def test_labels_that_are_learned_from_validate_their_own_language() -> None:
    known = facts()
    splits = ("train", "validation", "test")
    files = {
        lang: {split: Input(f"ner/{lang}/{split}", f"{lang} {split}") for split in splits} for lang in ("en", *LANGS)
    }
    task = replace(known.task, files=files, train_tokens={256: {"en": 3200, "sw": 1600}})
    plan = make_plan(config(task_sources=["en", "sw"]), replace(known, task=task))
    for step in plan:
        if step.kind in ("evaluate", "finetune"):
            roles = {role: given for role, given in step.inputs.items() if "validation" in role}
            taught = step.settings["lang"] == "sw"
            assert roles == (
                {"validation": "ner/sw/validation"} if taught else {"source_validation": "ner/en/validation"}
            )


def test_widths_multiply_students() -> None:
    plan = make_plan(config(hidden=[64, 32], densities=[0.08]), facts(LANGS, teacher("big")))
    assert plan.by_kind()["distil"] == 6
    assert {step.settings["hidden"] for step in plan if step.kind == "distil"} == {64, 32}
    assert min(step.flops for step in plan if step.kind == "distil") < max(step.flops for step in plan)


def test_needs_come_before_what_needs_them() -> None:
    seen: set[str] = set()
    for step in make_plan(config(), facts()):
        assert set(step.needs.values()) <= seen
        seen.add(step.key)


def test_languages_take_turns() -> None:
    plan = make_plan(config(), facts())
    assert [step.about["lang"] for step in plan if step.kind == "distil"][:3] == list(LANGS)


@pytest.mark.parametrize("teach", [{}, {"density": 0.08}])
def test_a_given_task_teacher_is_taken_instead_of_trained(teach: dict[str, float]) -> None:
    known = facts()
    given = replace(known.task, given={"big": Input("tuned", "a tuned teacher")})
    plan = make_plan(config(teach=teach), replace(known, task=given))
    taken, trained = (step for step in plan if step.kind == "task-teacher")
    assert (taken.inputs, taken.flops) == ({"checkpoint": "tuned", "teacher": "models/big"}, 0)
    assert "train-en" in trained.inputs and trained.flops > 0


def test_a_plan_is_plain_data() -> None:
    plan = make_plan(config(), facts())
    data = json.loads(json.dumps(plan.to_dict()))
    assert data["by_kind"] == plan.by_kind()
    assert [step["key"] for step in data["steps"]] == [step.key for step in plan]
    assert data["tokens"] == sum(step.tokens for step in plan)


def test_a_title_says_what_a_step_makes() -> None:
    step: Step = list(make_plan(config(seeds=[3]), facts()))[-1]
    assert step.title == "finetune ha small 6 layers bistil seed 3 density 0.32"


def test_plans_of_ten_thousand_steps_are_made() -> None:
    plan = make_plan(config(seeds=list(range(400))), facts())
    assert len(plan) > 9_600
    assert plan.by_kind()["distil"] == 2_400
