"""Recipe mergedistill from corpora to records: a student for each assignment, tuned once, scored on every target."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoModelForTokenClassification, AutoTokenizer

from bistil_ray.assignment import parse_assignment
from bistil_ray.config_sources import load_config
from bistil_ray.inputs import gather_facts
from bistil_ray.models.language_tokenizers import choose_language, tokenizer_for
from bistil_ray.planning.plan import Plan, make_plan
from bistil_ray.results.records import Record
from bistil_ray.steps.local import run_here

FEW = {"batch_size": 4, "precision": "fp32", "lr": 1e-3}
LANGS = ("sw", "ha")


@dataclass
class Sweep:
    """A plan that was carried out, and where."""

    plan: Plan
    folder: Path
    results: dict[str, dict[str, Any]]

    @property
    def records(self) -> list[Record]:
        return [Record.model_validate(result["record"]) for result in self.results.values() if "record" in result]


@pytest.fixture(scope="module")
def sweep(
    tiny_settings: dict[str, Any], bert_folder: Path, xlmr_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Sweep:
    """Two teachers of two kinds of vocabulary, one of each for everything and one of both."""
    kinds = {"W": bert_folder, "U": xlmr_folder}
    places = {name: tmp_path_factory.mktemp("teachers") / name for name in kinds}
    for name, place in places.items():
        place.symlink_to(kinds[name])
    assignments = [{"en": "W", "sw": "W", "ha": "W"}, {"en": "W", "sw": "U", "ha": str(places["W"])}]
    changed = {"langs": LANGS, "teachers": [str(place) for place in places.values()], "recipes": ["mergedistill"]}
    merge = {**FEW, "steps": 4, "top_k": 3, "evaluations": 2, "assignments": assignments}
    config = load_config(None, ["layers=1", "hidden=16"], changed, {**tiny_settings, "merge": merge})
    plan, folder = make_plan(config, gather_facts(config)), tmp_path_factory.mktemp("steps")
    return Sweep(plan, folder, run_here(plan, folder))


def test_every_assignment_has_a_record_for_every_target(sweep: Sweep) -> None:
    students = {(str(record.assignment), record.lang): record for record in sweep.records if record.is_student}
    assert students.keys() == {(text, lang) for text in ("en=W,sw=W,ha=W", "en=W,sw=U,ha=W") for lang in LANGS}
    teachers = {(record.teacher, record.lang): record for record in sweep.records if not record.is_student}
    for (assignment, lang), record in students.items():
        own = parse_assignment(assignment)[lang]
        assert (record.recipe, record.teacher, record.layers, record.hidden) == ("mergedistill", own, 1, 16)
        assert record.teacher_score == teachers[own, lang].score
        assert record.density == 0.1 and record.validation_score is not None and record.source_score is not None
        assert record.tokens is not None and record.tokens > 4 * 4 * 16, "both phases count"


def test_a_student_is_tuned_once_for_all_languages(sweep: Sweep) -> None:
    tuned = {step.key for step in sweep.plan if step.kind == "task-teacher" and "student" in step.needs}
    assert len(tuned) == sweep.plan.by_kind()["merge"] == 2
    folders = {Path(record.model_dir) for record in sweep.records if record.is_student}
    assert folders == {sweep.folder / key / "model" for key in tuned}


def test_a_copy_for_one_language_loads_with_its_tokenizer(sweep: Sweep, tmp_path: Path) -> None:
    text = "Amina anaimba kabla ya usiku."
    for record in sweep.records[-2:]:
        folder = shutil.copytree(record.model_dir, tmp_path / record.lang)
        choose_language(folder, record.lang)
        assert AutoModelForTokenClassification.from_pretrained(folder).config.num_labels == 3
        assert AutoTokenizer.from_pretrained(folder)(text) == tokenizer_for(record.model_dir, record.lang)(text)
        assert tokenizer_for(folder, "en")(text) == tokenizer_for(record.model_dir, "en")(text)


def test_the_models_of_a_mixed_assignment_split_each_language_as_its_teacher_does(
    sweep: Sweep, bert_folder: Path, xlmr_folder: Path
) -> None:
    (mixed,) = {record.model_dir for record in sweep.records if record.assignment == "en=W,sw=U,ha=W"}
    text = "Amina anaimba kabla ya usiku."
    for lang, teacher in {"en": bert_folder, "sw": xlmr_folder, "ha": bert_folder}.items():
        assert tokenizer_for(mixed, lang)(text).tokens() == AutoTokenizer.from_pretrained(teacher)(text).tokens()
    assert not (Path(mixed) / "tokenizer.json").exists()


def test_bits_per_character_are_measured_as_a_mean_over_languages(sweep: Sweep) -> None:
    for step in (step for step in sweep.plan if step.kind == "merge"):
        lines = [json.loads(line) for line in (sweep.folder / step.key / "metrics.jsonl").read_text().splitlines()]
        measured = [line for line in lines if "bits_per_character" in line]
        assert [line["step"] for line in measured] == [2, 4]
        bits = sweep.results[step.key]["bits_per_character"]
        assert bits.keys() == {"en", *LANGS}
        assert measured[-1]["bits_per_character"] == pytest.approx(sum(bits.values()) / 3)
