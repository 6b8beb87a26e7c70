"""Equal work has one name: what a plan shares, in which order it stands, and what changes a step's fingerprint."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from bistil_ray.config import RunConfig
from bistil_ray.config_sources import load_config
from bistil_ray.facts import Facts, Input, TaskFacts, TeacherFacts
from bistil_ray.planning import step as steps
from bistil_ray.planning.plan import Plan, make_plan
from bistil_ray.planning.step import Step

LANGS = ("sw", "yo", "ha")
DENSITIES = (0.02, 0.08, 0.32)


def teacher(name: str, tokenizer: str = "wordpiece", layers: int = 12) -> TeacherFacts:
    return TeacherFacts(
        name,
        Input(f"models/{name}", f"weights of {name}"),
        Input(f"models/{name}", tokenizer),
        layers,
        64,
        256,
        1000,
        "bert",
    )


def facts(langs: tuple[str, ...] = LANGS, *teachers: TeacherFacts) -> Facts:
    everyone = ("en", *langs)
    corpora = {lang: Input("corpora", f"texts in {lang}") for lang in everyone}
    files = {lang: {"test": Input(f"ner/{lang}/test.parquet", f"labels in {lang}")} for lang in everyone}
    files["en"]["train"] = Input("ner/en/train.parquet", "training labels")
    return Facts(
        teachers or (teacher("big"), teacher("small")), corpora, TaskFacts(files, {256: {"en": 3200}}, ("B-PER", "O"))
    )


def config(**values: Any) -> RunConfig:
    least = {"langs": LANGS, "teachers": ["big", "small"], "corpora": "c", "task_data": "n", "densities": DENSITIES}
    return load_config(defaults={**least, **values})


def keys(plan: Plan, *kinds: str) -> set[str]:
    return {step.key for step in plan if not kinds or step.kind in kinds}


def test_every_piece_of_work_stands_in_the_plan_once() -> None:
    plan = make_plan(config(), facts())
    assert plan.by_kind() == {"pack": 3, "task-teacher": 2, "evaluate": 6, "distil": 6, "finetune": 18}
    assert len(keys(plan)) == len(plan) == 35
    assert plan.largest_model == teacher("big").parameters


def test_the_largest_batch_is_known_and_that_it_may_come_in_parts() -> None:
    big = teacher("big")
    assert make_plan(config(), facts()).most_states == 8 * 256 * big.layers * big.hidden
    shapes = {"packing": {"length": 64}, "teach": {"batch_size": 32, "accumulation": 3}}
    assert make_plan(config(**shapes), facts()).most_states == 11 * 256 * big.layers * big.hidden
    adapted = {**shapes, "adapt": {"enabled": True, "batch_size": 50}}
    assert make_plan(config(**adapted), facts()).most_states == 50 * 64 * big.layers * big.hidden


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
    assert needs["evaluate"] == {"task_teacher", "sft-sw"}
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


def test_a_given_task_teacher_is_taken_instead_of_trained() -> None:
    known = facts()
    given = replace(known.task, given={"big": Input("tuned", "a tuned teacher")})
    plan = make_plan(config(), replace(known, task=given))
    taken, trained = (step for step in plan if step.kind == "task-teacher")
    assert (taken.inputs, taken.flops) == ({"checkpoint": "tuned", "teacher": "models/big"}, 0)
    assert "train-en" in trained.inputs and trained.flops > 0


# What must change the names of steps: a change, and the kinds of steps that are then other ones.
DOWNSTREAM: dict[str, tuple[Callable[[Facts], Facts], set[str]]] = {
    "a corpus": (
        lambda known: replace(known, corpora={**known.corpora, "en": Input("corpora", "other texts")}),
        {"pack", "distil", "finetune"},
    ),
    "the tokenizers": (
        lambda known: replace(known, teachers=[replace(t, tokenizer=Input("x", "other")) for t in known.teachers]),
        {"pack", "distil", "finetune"},
    ),
    "the teachers": (
        lambda known: replace(known, teachers=[replace(t, model=Input("x", t.name + "2")) for t in known.teachers]),
        {"task-teacher", "evaluate", "distil", "finetune"},
    ),
    "the training labels": (
        lambda known: replace(
            known,
            task=replace(
                known.task,
                files={**known.task.files, "en": {**known.task.files["en"], "train": Input("x", "other labels")}},
            ),
        ),
        {"task-teacher", "evaluate", "finetune"},
    ),
    "the set of labels": (
        lambda known: replace(known, task=replace(known.task, labels=("B-LOC", "O"))),
        {"task-teacher", "evaluate", "finetune"},
    ),
}


def changed_kinds(before: Plan, after: Plan) -> set[str]:
    return {step.kind for step in after if step.key not in keys(before)}


def unchanged_kinds(before: Plan, after: Plan) -> set[str]:
    return {step.kind for step in after if step.key in keys(before)}


@pytest.mark.parametrize("what", DOWNSTREAM)
def test_other_content_is_other_work_for_all_that_depends_on_it(what: str) -> None:
    change, kinds = DOWNSTREAM[what]
    before, after = make_plan(config(), facts()), make_plan(config(), change(facts()))
    assert changed_kinds(before, after) == kinds
    assert unchanged_kinds(before, after) == set(before.by_kind()) - kinds


@pytest.mark.parametrize(
    ("settings", "kinds"),
    [
        ({"vocabulary": {"threshold": 0.5}}, {"pack", "distil", "finetune"}),
        ({"packing": {"seed": 1}}, {"pack", "distil", "finetune"}),
        ({"text_column": "body"}, {"pack", "distil", "finetune"}),
        ({"distil": {"steps": 9}}, {"distil", "finetune"}),
        ({"distil": {"precision": "fp32"}}, {"distil", "finetune"}),
        ({"teach": {"epochs": 1}}, {"task-teacher", "evaluate", "finetune"}),
        ({"finetune": {"temperature": 1}}, {"finetune"}),
        ({"label_map": {"DATE": "O"}}, {"task-teacher", "evaluate", "finetune"}),
        ({"seeds": [5]}, {"distil", "finetune"}),
    ],
)
def test_another_setting_is_other_work_for_all_that_depends_on_it(settings: dict[str, Any], kinds: set[str]) -> None:
    before, after = make_plan(config(), facts()), make_plan(config(**settings), facts())
    assert changed_kinds(before, after) == kinds
    assert unchanged_kinds(before, after) == set(before.by_kind()) - kinds


@pytest.mark.parametrize("kind", ["pack", "task-teacher", "evaluate", "distil", "finetune"])
def test_a_new_version_of_an_algorithm_is_other_work(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = make_plan(config(), facts())
    monkeypatch.setitem(steps.VERSIONS, kind, 99)
    assert not keys(before, kind) & keys(make_plan(config(), facts()))


@pytest.mark.parametrize(
    "settings",
    [
        {"storage": "elsewhere", "name": "mine"},
        {"execution": {"workers": 4, "launcher": "train", "max_parallel": 2}},
        {"distil": {"accumulation": 4}, "teach": {"accumulation": 2}, "finetune": {"accumulation": 8}},
        {"distil": {"checkpoint_minutes": 30}, "finetune": {"checkpoint_minutes": 30}},
        {"pruning": {"enabled": True}},
    ],
)
def test_how_a_run_is_carried_out_changes_no_name(settings: dict[str, Any]) -> None:
    assert keys(make_plan(config(**settings), facts())) == keys(make_plan(config(), facts()))


def test_portions_reach_the_step_all_the_same() -> None:
    plan = make_plan(config(distil={"accumulation": 4}), facts())
    assert {step.runtime["accumulation"] for step in plan if step.kind == "distil"} == {4}


def test_where_things_lie_changes_no_name() -> None:
    def moved(value: Input) -> Input:
        return Input("elsewhere/" + value.uri, value.fingerprint)

    known = facts()
    files = {lang: {split: moved(file) for split, file in splits.items()} for lang, splits in known.task.files.items()}
    away = Facts(
        [replace(t, model=moved(t.model), tokenizer=moved(t.tokenizer)) for t in known.teachers],
        {lang: moved(corpus) for lang, corpus in known.corpora.items()},
        replace(known.task, files=files),
    )
    assert keys(make_plan(config(corpora="x", task_data="y"), away)) == keys(make_plan(config(), known))


def test_more_languages_densities_or_teachers_leave_existing_work_as_it_is() -> None:
    small = make_plan(config(langs=["sw"], densities=[0.08]), facts(("sw",), teacher("small")))
    assert keys(small) < keys(make_plan(config(), facts()))


def test_tokens_and_flops_are_estimated_where_something_is_trained() -> None:
    plan = make_plan(config(distil={"steps": 10, "batch_size": 4}, packing={"length": 64}), facts())
    for step in plan:
        assert (step.tokens > 0) == (step.flops > 0) == (step.kind in {"task-teacher", "distil", "finetune"})
    assert {step.tokens for step in plan if step.kind == "distil"} == {10 * 4 * 64}


def test_a_labelled_phase_has_the_tokens_that_its_own_length_leaves() -> None:
    task = replace(facts().task, train_tokens={64: {"en": 1000}, 32: {"en": 600}})
    phases = {
        "teach": {"epochs": 3, "max_length": 64},
        "finetune": {"dense_epochs": 1, "sparse_epochs": 4, "max_length": 32},
    }
    plan = make_plan(config(**phases), replace(facts(), task=task))
    assert {step.tokens for step in plan if step.kind == "task-teacher"} == {3 * 1000}
    assert {step.tokens for step in plan if step.kind == "finetune"} == {5 * 600}


def test_where_all_parameters_may_change_no_epochs_choose_them() -> None:
    plan = make_plan(config(densities=[0.5, 1], finetune={"dense_epochs": 1, "sparse_epochs": 4}), facts())
    tokens = {step.about["density"]: step.tokens for step in plan if step.kind == "finetune"}
    assert tokens[1] == tokens[0.5] * 4 / 5
    same = make_plan(config(densities=[1], finetune={"dense_epochs": 2, "sparse_epochs": 4}), facts())
    assert keys(same) < keys(plan), "a length that plays no part is no part of a step"


def test_learning_without_a_teacher_costs_less() -> None:
    def flops(recipe: str) -> float:
        return next(step.flops for step in make_plan(config(recipes=[recipe]), facts()) if step.kind == "distil")

    assert flops("scratch") < flops("bistil")


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
