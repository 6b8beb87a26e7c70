"""Inputs are looked at before anything is spent, and known by their content."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from transformers import AutoConfig

from bistil_ray.config import RunConfig
from bistil_ray.config_sources import load_config
from bistil_ray.data.batches import length_of
from bistil_ray.errors import BistilError, ConfigError, ModelError
from bistil_ray.facts import Facts, display_names
from bistil_ray.inputs import gather_facts, look_at_student, look_at_teacher, look_at_tokenizer
from bistil_ray.models.families import FAMILIES
from bistil_ray.models.loading import load_tokenizer
from bistil_ray.planning.plan import make_plan
from bistil_ray.planning.text_steps import Shape
from bistil_ray.sparse.delta import SparseDelta
from bistil_ray.sparse.files import save_delta
from bistil_ray.tasks.windows import cut_context


@pytest.fixture
def tagger(bert_folder: Path, tmp_path: Path) -> Path:
    """A checkpoint for tagging with the labels of the data."""
    return save_tagger(bert_folder, tmp_path / "tagger", ["B-LOC", "B-PER", "O"])


def save_tagger(bert_folder: Path, folder: Path, labels: list[str]) -> Path:
    from transformers import AutoTokenizer

    from bistil_ray.models.heads import new_model

    new_model("token-classification", bert_folder, labels, seed=0).save_pretrained(folder)
    AutoTokenizer.from_pretrained(bert_folder).save_pretrained(folder)
    return folder


def config(settings: dict[str, Any], **changes: Any) -> RunConfig:
    return load_config(defaults={**settings, **changes})


def step_keys(settings: dict[str, Any]) -> list[str]:
    run = config(settings)
    return [step.key for step in make_plan(run, gather_facts(run))]


def test_the_facts_of_a_run_are_gathered(toy_settings: dict[str, Any], bert_folder: Path) -> None:
    facts: Facts = gather_facts(config(toy_settings))
    (teacher,) = facts.teachers
    assert (teacher.name, teacher.layers, teacher.hidden, teacher.intermediate) == (bert_folder.name, 4, 32, 64)
    assert teacher.model.uri == str(bert_folder)
    assert set(facts.corpora) == {"en", "sw"}
    assert facts.corpora["en"].fingerprint != facts.corpora["sw"].fingerprint
    assert facts.task.labels == ("B-LOC", "B-PER", "O")
    assert facts.task.train_tokens == {32: {"en": 4 * 6}}, "four words and two markers in each example"
    assert {lang: set(splits) for lang, splits in facts.task.files.items()} == {
        "en": {"train", "validation", "test"},
        "sw": {"test"},
    }


def test_tokens_are_those_of_windows_where_a_task_reads_in_windows(
    toy_settings: dict[str, Any], toy_texts: dict[str, list[str]], bert_folder: Path, tmp_path: Path
) -> None:
    context = " ".join(toy_texts["en"] * 4)
    answers = {"text": [context[:10]], "answer_start": [0]}
    table = pa.table({"context": [context] * 300, "question": ["Where?"] * 300, "answers": [answers] * 300})
    for file in ("en/train", "sw/test"):
        (tmp_path / "qa" / file).parent.mkdir(parents=True)
        pq.write_table(table, tmp_path / "qa" / f"{file}.parquet")
    run = config({**toy_settings, "task": "qa", "task_data": str(tmp_path / "qa"), "teach": {"max_length": 64}})
    estimated = gather_facts(run).task.train_tokens
    tokenizer = load_tokenizer(bert_folder)
    for length in (32, 64):
        windows = cut_context(tokenizer, "Where?", context, length).windows
        assert estimated[length]["en"] == 300 * sum(length_of(window.features) for window in windows)
    once = len(tokenizer("Where?", context)["input_ids"])
    assert once < estimated[64]["en"] / 300 < estimated[32]["en"] / 300 < 3 * once


def test_relative_places_become_absolute_since_workers_run_elsewhere(
    toy_settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    plan = make_plan(
        given := config(toy_settings, corpora="corpora", task_data="ner"),
        gather_facts(given),
    )
    places = {uri for step in plan for uri in step.inputs.values()}
    assert places and all(Path(place).is_absolute() for place in places)


def test_the_same_inputs_elsewhere_make_the_same_plan(
    toy_settings: dict[str, Any], bert_folder: Path, tmp_path: Path
) -> None:
    before = step_keys(toy_settings)
    shutil.copytree(bert_folder, tmp_path / "copied" / "teacher")
    for name in ("corpora", "ner"):
        shutil.move(tmp_path / name, tmp_path / "copied" / name)
    away = {
        "teachers": [str(tmp_path / "copied/teacher")],
        "corpora": str(tmp_path / "copied/corpora"),
        "task_data": str(tmp_path / "copied/ner"),
    }
    assert step_keys({**toy_settings, **away}) == before


def test_a_teacher_saved_anew_with_other_weights_makes_another_plan(
    toy_settings: dict[str, Any], bert_folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(bert_folder, tmp_path / "teacher")
    weights = tmp_path / "teacher/model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    before, after = step_keys(toy_settings), step_keys({**toy_settings, "teachers": [str(tmp_path / "teacher")]})
    assert [old == new for old, new in zip(before, after, strict=True)] == [True, False, False, False, False]
    assert before[0].startswith("pack-")


def test_the_source_language_is_no_target(toy_settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="--langs holds the source language 'en'"):
        gather_facts(config(toy_settings, langs=["sw", "en"]))


def test_settings_longer_than_a_teachers_positions_are_refused(toy_settings: dict[str, Any]) -> None:
    with pytest.raises(
        ConfigError, match=r"teach.max_length is 256, but .* at most 128 tokens: --set teach.max_length=128"
    ):
        gather_facts(config(toy_settings, teach={"max_length": 256}))
    gather_facts(config(toy_settings, packing={"length": 128}))


def test_positions_behind_the_pad_id_are_not_counted(toy_settings: dict[str, Any], xlmr_folder: Path) -> None:
    with pytest.raises(ConfigError, match="--set packing.length=128"):
        gather_facts(config(toy_settings, teachers=[str(xlmr_folder)], packing={"length": 129}))


def test_a_given_task_teacher_is_known_by_its_place_or_name(
    toy_settings: dict[str, Any], bert_folder: Path, tagger: Path
) -> None:
    for given in (str(tagger), {str(bert_folder): str(tagger)}, {bert_folder.name: str(tagger)}):
        facts = gather_facts(config(toy_settings, task_teacher=given))
        assert facts.task.given[bert_folder.name].uri == str(tagger)


def test_a_task_teacher_of_other_labels_is_refused(
    toy_settings: dict[str, Any], bert_folder: Path, tmp_path: Path
) -> None:
    other = save_tagger(bert_folder, tmp_path / "other", ["B-DATE", "O"])
    with pytest.raises(ModelError, match="has the labels B-DATE, O, but the training data has B-LOC, B-PER, O"):
        gather_facts(config(toy_settings, task_teacher=str(other)))


@pytest.mark.parametrize(
    ("given", "says"),
    [({"nobody": "x"}, "task_teacher names 'nobody'"), ("no/such/folder", "task_teacher 'no/such/folder'")],
)
def test_a_task_teacher_that_is_nowhere_is_refused(given: Any, says: str, toy_settings: dict[str, Any]) -> None:
    with pytest.raises(BistilError, match=says):
        gather_facts(config(toy_settings, task_teacher=given))


def test_one_task_teacher_is_not_enough_for_two_teachers(
    toy_settings: dict[str, Any], bert_folder: Path, xlmr_folder: Path, tagger: Path
) -> None:
    teachers = [str(bert_folder), str(xlmr_folder)]
    with pytest.raises(ConfigError, match="there are several teachers"):
        gather_facts(config(toy_settings, teachers=teachers, task_teacher=str(tagger)))
    facts = gather_facts(config(toy_settings, teachers=teachers, task_teacher={bert_folder.name: str(tagger)}))
    assert set(facts.task.given) == {bert_folder.name}


def test_an_sft_of_another_language_is_refused(toy_settings: dict[str, Any], tmp_path: Path) -> None:
    for lang in ("en", "swh"):
        meta = {"base_model": "a", "base_fingerprint": "b", "language": lang, "density": 0.1, "method": "lt-sft"}
        save_delta(SparseDelta({}, {}, {}, {}, meta), tmp_path / lang)
    places = {"en": str(tmp_path / "en"), "sw": str(tmp_path / "swh")}
    assert gather_facts(config(toy_settings, language_sfts=places)).language_sfts.keys() == {"en", "sw"}
    with pytest.raises(ConfigError, match=r"language_sfts has .*swh for 'en', but it is the SFT of 'swh'"):
        gather_facts(config(toy_settings, language_sfts=places | {"en": places["sw"]}))


def test_teachers_are_called_by_their_last_name_unless_two_share_it() -> None:
    assert display_names(["a/big/", "b/small"]) == {"a/big/": "big", "b/small": "small"}
    assert display_names(["a/big", "b/big"]) == {"a/big": "a/big", "b/big": "b/big"}


@pytest.mark.parametrize("family", FAMILIES)
def test_teachers_of_every_family_are_looked_at(family: str, bert_folder: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(bert_folder, tmp_path / "teacher")
    config = AutoConfig.for_model(family, vocab_size=400, pad_token_id=load_tokenizer(folder).pad_token_id)
    setattr(config, FAMILIES[family].width_between, 99)
    config.save_pretrained(folder)
    facts = look_at_teacher(str(folder), "mine", {"--length": 256})
    assert (facts.family, facts.layers, facts.intermediate) == (family, config.num_hidden_layers, 99)


def test_a_student_and_a_tokenizer_are_known_by_their_content(bert_folder: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(bert_folder, tmp_path / "copy")
    student, shape = look_at_student(str(bert_folder), {})
    assert (look_at_student(str(copy), {})[0].fingerprint, shape) == (student.fingerprint, Shape(4, 32))
    tokenizer = look_at_tokenizer(str(bert_folder))
    assert look_at_tokenizer(str(copy)).fingerprint == tokenizer.fingerprint
    (copy / "tokenizer.json").write_text((copy / "tokenizer.json").read_text().replace("the", "thx"))
    assert look_at_tokenizer(str(copy)).fingerprint != tokenizer.fingerprint


@pytest.mark.parametrize("part", ["merges.txt", "added_tokens.json", "special_tokens_map.json"])
def test_every_file_of_a_tokenizer_counts(part: str, bert_folder: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(bert_folder, tmp_path / "teacher")
    (folder / part).write_text("{}")
    assert look_at_tokenizer(str(folder)).fingerprint != look_at_tokenizer(str(bert_folder)).fingerprint
