"""Equal work has one name: what changes a step's fingerprint, and what does not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from bistil_ray.facts import Facts, Input
from bistil_ray.planning import step as steps
from bistil_ray.planning.plan import Plan, make_plan
from tests.made_up_plan import config, facts, keys, teacher

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
