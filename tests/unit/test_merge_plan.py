"""The steps of MergeDistill: predictions belong to a teacher and a text, whatever student learns from them."""

from __future__ import annotations

from typing import Any

import pytest

from bistil_ray.config_sources import load_config
from bistil_ray.facts import Input, TeacherFacts
from bistil_ray.planning.merge_steps import merge_step, predict_step, vocabulary_of_each
from bistil_ray.planning.step import Step
from bistil_ray.planning.text_steps import Shape, pack_step
from bistil_ray.settings import Packing

TEXTS = {lang: Input("corpora", f"text of {lang}") for lang in ("en", "sw")}


def teacher(name: str) -> TeacherFacts:
    return TeacherFacts(
        name, Input(name, f"weights of {name}"), Input(name, f"tokens of {name}"), 12, 768, 3072, 999, "bert"
    )


def steps(en: str, sw: str, body: str | None = None, shape: Shape = Shape(6, 256), **changed: Any) -> dict[str, Step]:  # noqa: B008
    """Predictions and student of an assignment."""
    run = load_config(defaults={"langs": ["sw"], "teachers": ["A"], "corpora": "c", "task_data": "n", "merge": changed})
    config, vocabulary = run.merge, vocabulary_of_each(run)
    teachers = {"en": teacher(en), "sw": teacher(sw)}
    packs = {
        lang: pack_step((lang,), "text", vocabulary, Packing(), facts.tokenizer, TEXTS)
        for lang, facts in teachers.items()
    }
    made = {lang: predict_step(config, facts, packs[lang], lang) for lang, facts in teachers.items()}
    return {**made, "student": merge_step(config, teachers, packs, made, shape, body, seed=0)}


def test_two_assignments_share_what_a_teacher_predicts() -> None:
    one, other = steps("A", "B"), steps("A", "A")
    assert one["en"].key == other["en"].key
    assert one["sw"].key != other["sw"].key
    assert one["student"].key != other["student"].key


@pytest.mark.parametrize("changed", [{"steps": 5}, {"mlm_weight": 0.1}, {"rest": True}, {"lr": 1.0}, {"batch_size": 1}])
def test_what_only_the_student_reads_leaves_predictions_alone(changed: dict[str, Any]) -> None:
    one, other = steps("A", "B"), steps("A", "B", **changed)
    assert (one["en"].key, one["sw"].key) == (other["en"].key, other["sw"].key)
    assert one["student"].key != other["student"].key


@pytest.mark.parametrize("changed", [{"mask": 0.3}, {"top_k": 4}, {"seed": 1}])
def test_what_is_predicted_makes_another_student(changed: dict[str, Any]) -> None:
    one, other = steps("A", "B"), steps("A", "B", **changed)
    assert all(one[name].key != other[name].key for name in one)


def test_another_cut_makes_other_packs_and_leaves_the_merge_settings_alone() -> None:
    assert steps("A", "B", threshold=0.0)["student"].key == steps("A", "B")["student"].key
    assert "threshold" not in steps("A", "B", threshold=0.01)["student"].settings
    one, other = steps("A", "B"), steps("A", "B", threshold=0.01)
    assert all(one[name].key != other[name].key for name in one)
    assert other["en"].key == steps("A", "A", threshold=0.01)["en"].key


def test_memory_settings_change_nothing() -> None:
    one, other = steps("A", "B"), steps("A", "B", accumulation=4, checkpoint_minutes=9)
    assert one["student"].key == other["student"].key
    assert other["student"].runtime == {"accumulation": 4, "checkpoint_minutes": 9}


def test_the_student_needs_the_text_and_the_predictions_of_each_language() -> None:
    made = steps("A", "B", body="sw", shape=Shape(6, 200))
    student = made["student"]
    assert set(student.needs) == {"pack-en", "pack-sw", "predict-en", "predict-sw"}
    assert student.needs["predict-sw"] == made["sw"].key
    assert student.settings["body"] == "sw"
    assert 200 % student.settings["heads"] == 0
    assert student.title == "merge en-sw A B 6 layers"
