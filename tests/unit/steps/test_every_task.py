"""Each task from its labelled files to a scored student that loads, beside the tagging of test_whole_chain."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from transformers import AutoModel, AutoTokenizer

from bistil_ray.config_sources import load_config
from bistil_ray.inputs import gather_facts
from bistil_ray.models.heads import load_model, new_model
from bistil_ray.planning.plan import Plan, make_plan
from bistil_ray.results.records import Record
from bistil_ray.sparse.delta import apply_delta
from bistil_ray.sparse.files import load_delta
from bistil_ray.steps.local import run_here
from bistil_ray.storage import read_result
from bistil_ray.tasks.registry import TASKS

TEXT = "Amina came from Mombasa"
ROWS: dict[str, dict[str, list[Any]]] = {
    "pos": {"tokens": [TEXT.split()] * 6, "upos": [["PROPN", "VERB", "ADP", "PROPN"]] * 6},
    "dep": {
        "form": [TEXT.split()] * 6,
        "head": [[2, 0, 4, 2]] * 6,
        "deprel": [["nsubj", "root", "case", "obl"]] * 6,
    },
    "nli": {"premise": [TEXT] * 6, "hypothesis": ["Amina came", "the fish"] * 3, "label": ["yes", "no"] * 3},
    "topic": {"text": [TEXT, "the river rises"] * 3, "label": ["people", "weather"] * 3},
    "sentiment": {"text": [TEXT, "the river rises"] * 3, "label": ["good", "bad"] * 3},
    "qa": {
        "context": [TEXT] * 6,
        "question": ["the city"] * 6,
        "answers": [{"text": ["Mombasa"], "answer_start": [16]}] * 6,
    },
}
METRICS = {"pos": "accuracy", "dep": "las", "nli": "accuracy", "topic": "accuracy", "sentiment": "macro_f1", "qa": "f1"}


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of all steps, so that one student serves every task."""
    return tmp_path_factory.mktemp("steps")


@pytest.fixture(scope="module")
def plan_of(
    tiny_settings: dict[str, Any], bert_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Plan]:
    """A function planning a run of one task, with settings."""
    folder = tmp_path_factory.mktemp("labelled")

    def plan(task: str, *overrides: str) -> Plan:
        for lang in ("en", "sw"):
            for split in ("train", "validation", "test"):
                file = folder / task / lang / f"{split}.parquet"
                file.parent.mkdir(parents=True, exist_ok=True)
                pq.write_table(pa.table(ROWS[task]), file)
        flags = {"teachers": [str(bert_folder)], "task": task, "task_data": str(folder / task)}
        config = load_config(None, ("distil.steps=2", *overrides), flags, tiny_settings)
        return make_plan(config, gather_facts(config))

    return plan


@pytest.mark.parametrize("task", ROWS)
def test_a_task_ends_in_a_scored_student_that_loads(task: str, plan_of: Callable[..., Plan], work: Path) -> None:
    plan = plan_of(task)
    results = run_here(plan, work)
    keys = {step.kind: step.key for step in plan}
    teacher, student = (Record.model_validate(results[keys[kind]]["record"]) for kind in ("evaluate", "finetune"))
    assert teacher.metric == student.metric == METRICS[task] == TASKS[task].metric
    assert (teacher.task, student.task) == (task, task)
    assert all(0 <= record.score <= 1 and record.validation_score is not None for record in (teacher, student))
    merged = load_model(TASKS[task].head, student.model_dir)
    assert merged.config.num_hidden_layers == 2
    assert AutoModel.from_pretrained(student.model_dir).config.vocab_size == len(
        AutoTokenizer.from_pretrained(student.model_dir)
    )

    delta = load_delta(work / keys["finetune"] / "sft")
    fresh = new_model(TASKS[task].head, work / keys["distil"] / "student", TASKS[task].labels(_examples(task), {}), 0)
    apply_delta(fresh, delta)
    for name, value in merged.named_parameters():
        assert torch.equal(fresh.get_parameter(name), value), f"{name}: the SFT on the student is the merged model"


def test_a_pooler_that_only_the_head_reads_is_tuned_whole(plan_of: Callable[..., Plan], work: Path) -> None:
    plan = plan_of("topic")
    run_here(plan, work)
    (key,) = (step.key for step in plan if step.kind == "finetune")
    assert {"bert.pooler.dense.weight", "classifier.weight"} <= set(load_delta(work / key / "sft").dense)


@pytest.mark.parametrize("task", ROWS)
def test_agreement_is_the_metric_with_the_teachers_answers_for_the_right_ones(
    task: str, plan_of: Callable[..., Plan], work: Path
) -> None:
    plan = plan_of(task)
    results = run_here(plan, work)
    keys = {step.kind: step.key for step in plan}
    taught, said = (_predictions(work / keys[kind]) for kind in ("evaluate", "finetune"))
    judge, examples = TASKS[task], _examples(task)
    record = results[keys["finetune"]]["record"]
    assert record["agreement"] == judge.compare(judge.answered(examples, taught), said).score
    assert judge.compare(judge.answered(examples, said), said).score == 1.0
    assert results[keys["evaluate"]]["record"]["agreement"] is None


@pytest.mark.parametrize("task", ROWS)
def test_plain_text_of_the_target_takes_the_place_of_half_of_the_examples(
    task: str, plan_of: Callable[..., Plan], work: Path
) -> None:
    plan = plan_of(task, "recipes=[bistil+]", "finetune.sparse_epochs=20")
    results = run_here(plan, work)
    (key,) = (step.key for step in plan if step.kind == "finetune")
    assert results[key]["record"]["recipe"] == "bistil+"
    lines = [json.loads(line) for line in (work / key / "metrics.jsonl").read_text().splitlines()]
    steps = [line for line in lines if line.get("phase") == "sparse"]
    assert all("loss_hidden" in line and "loss_attention" in line for line in steps)
    decided = [
        {name for name in line if name.startswith("loss_")} - {"loss_hidden", "loss_attention"} for line in steps
    ]
    if TASKS[task].asked_about_text(1):
        assert all(decided)
    else:
        assert {bool(names) for names in decided} == {True, False}


@pytest.mark.parametrize("recipe", ["nodistil", "minilmv2", "distilmbert", "scratch"])
def test_baselines_learn_the_task_from_labels(recipe: str, plan_of: Callable[..., Plan], work: Path) -> None:
    plan = plan_of("pos", f"recipes=[{recipe}]")
    results = run_here(plan, work)
    (key,) = (step.key for step in plan if step.kind == "finetune")
    assert results[key]["record"]["recipe"] == recipe
    lines = (work / key / "metrics.jsonl").read_text()
    assert "loss_tags" in lines and "loss_hidden" not in lines


def test_a_student_that_starts_from_chance_may_have_any_depth_and_width(
    plan_of: Callable[..., Plan], work: Path
) -> None:
    plan = plan_of("pos", "recipes=[minilmv2]", "layers=[3]", "hidden=[16]")
    results = run_here(plan, work)
    (key,) = (step.key for step in plan if step.kind == "finetune")
    assert (results[key]["record"]["layers"], results[key]["record"]["hidden"]) == (3, 16)


def test_the_recipe_teacher_is_a_sparse_fine_tuning_of_the_teacher(
    plan_of: Callable[..., Plan], work: Path, bert_folder: Path
) -> None:
    plan = plan_of("pos", "recipes=[teacher]", "teach.epochs=6")
    results = run_here(plan, work)
    (key,) = (step.key for step in plan if step.kind == "evaluate" and "density" in step.about)
    record = Record.model_validate(results[key]["record"])
    assert (record.recipe, record.density, record.layers) == ("teacher", 0.1, 4)
    tuned, start = load_model("token-classification", record.model_dir), AutoModel.from_pretrained(bert_folder)
    encoder = dict(start.named_parameters())
    changed = {name: value != encoder[name] for name, value in tuned.bert.named_parameters()}
    share = sum(int(mask.sum()) for mask in changed.values()) / sum(mask.numel() for mask in changed.values())
    assert 0.05 < share < 0.103  # some changes tie


def _predictions(step: Path) -> list[Any]:
    lines = [json.loads(line) for line in (step / "predictions.jsonl").read_text().splitlines()]
    return [[_frozen(answer) for answer in line] if isinstance(line, list) else line for line in lines]


def _examples(task: str) -> Any:  # noqa: ANN401
    from bistil_ray.data.examples import Examples

    return Examples({name: tuple(map(_frozen, values)) for name, values in ROWS[task].items()}, "made up", {})


def _frozen(value: Any) -> Any:  # noqa: ANN401
    return tuple(value) if isinstance(value, list) else value


@pytest.mark.parametrize(("settings", "kind"), [(["hidden=[16]"], "bert"), (["distil.embedding_rank=8"], "electra")])
def test_narrower_and_factorised_students_go_the_whole_way(
    settings: list[str], kind: str, plan_of: Callable[..., Plan], work: Path
) -> None:
    plan = plan_of("pos", "distil.steps=12", *settings)
    results = run_here(plan, work)
    keys = {step.kind: step.key for step in plan}
    losses = [json.loads(line) for line in (work / keys["distil"] / "metrics.jsonl").read_text().splitlines()]
    hidden = [line["loss_hidden"] for line in losses if "loss_hidden" in line]
    assert sum(hidden[-3:]) < sum(hidden[:3])
    record = Record.model_validate(results[keys["finetune"]]["record"])
    model = load_model("token-classification", record.model_dir)
    assert model.config.model_type == kind
    assert record.hidden == model.config.hidden_size == (16 if kind == "bert" else 32)
    assert record.params < 0.8 * Record.model_validate(results[keys["evaluate"]]["record"]).params


def test_a_narrower_student_learns_from_projected_states_in_phase_2_too(
    plan_of: Callable[..., Plan], work: Path
) -> None:
    plan = plan_of("pos", "distil.steps=12", "hidden=[16]")
    run_here(plan, work)
    (key,) = (step.key for step in plan if step.kind == "finetune")
    assert "loss_hidden" in (work / key / "metrics.jsonl").read_text()


def test_labels_of_several_languages_teach_the_teacher_and_the_student_that_speaks_them(
    plan_of: Callable[..., Plan], work: Path
) -> None:
    both, alone = plan_of("pos", "task_sources=[en,sw]"), plan_of("pos")
    seen = {}
    for name, plan in (("both", both), ("alone", alone)):
        run_here(plan, work)
        for step in plan:
            if step.kind in ("task-teacher", "finetune"):
                lines = (work / step.key / "metrics.jsonl").read_text().splitlines()
                seen[name, step.kind] = max(json.loads(line)["tokens"] for line in lines)
    assert seen["both", "task-teacher"] == 2 * seen["alone", "task-teacher"]
    assert seen["both", "finetune"] == 2 * seen["alone", "finetune"]
    records = [
        read_result(work / step.key)["record"] for plan in (both, alone) for step in plan if step.kind == "finetune"
    ]
    assert [record["validation_lang"] for record in records] == ["sw", "en"]
    assert all(record["validation_score"] is not None for record in records)
