"""From corpora to scored students, step by step in this process, for both families of teachers."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForMaskedLM, AutoModelForTokenClassification, AutoTokenizer, PreTrainedModel

from bistil_ray.config_sources import load_config
from bistil_ray.inputs import gather_facts
from bistil_ray.models.heads import load_model
from bistil_ray.planning.plan import Plan, make_plan
from bistil_ray.planning.step import Step
from bistil_ray.results.records import Record
from bistil_ray.sparse.delta import apply_delta
from bistil_ray.sparse.files import load_delta
from bistil_ray.steps.local import run_here

DENSITY = 0.1
one_family = pytest.mark.parametrize("chain", ["bert_folder"], indirect=True)


@dataclass
class Chain:
    """A plan that was carried out, and where."""

    plan: Plan
    folder: Path
    results: dict[str, dict[str, Any]]

    def only(self, kind: str) -> Step:
        (step,) = (step for step in self.plan if step.kind == kind)
        return step

    def result(self, kind: str) -> dict[str, Any]:
        return self.results[self.only(kind).key]

    def place(self, kind: str) -> Path:
        return self.folder / self.only(kind).key

    def metrics(self, kind: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.place(kind) / "metrics.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def plan_for(tiny_settings: dict[str, Any]) -> Callable[..., Plan]:
    """A function planning a run of a teacher with some settings changed."""

    def plan(teacher: Path, *overrides: str) -> Plan:
        config = load_config(None, overrides, {"teachers": [str(teacher)]}, tiny_settings)
        return make_plan(config, gather_facts(config))

    return plan


@pytest.fixture(scope="module", params=["bert_folder", "xlmr_folder"])
def chain(
    request: pytest.FixtureRequest, plan_for: Callable[..., Plan], tmp_path_factory: pytest.TempPathFactory
) -> Chain:
    """Every step from the corpora to one student."""
    folder = tmp_path_factory.mktemp("steps")
    plan = plan_for(request.getfixturevalue(request.param), "distil.steps=24", "distil.evaluations=3")
    return Chain(plan, folder, run_here(plan, folder))


def test_the_loss_of_phase_1_falls(chain: Chain) -> None:
    losses = [line["loss"] for line in chain.metrics("distil") if "loss" in line]
    assert len(losses) == 24
    assert sum(losses[-4:]) < 0.9 * sum(losses[:4])
    assert chain.result("distil")["tokens"] == 24 * 8 * 16


def test_bits_per_character_are_measured_at_even_distances(chain: Chain) -> None:
    measured = [line for line in chain.metrics("distil") if "bits_per_character" in line]
    assert [line["step"] for line in measured] == [8, 16, 24]
    assert measured[-1]["bits_per_character_sw"] == chain.result("distil")["bits_per_character"]["sw"]
    assert measured[-1]["bits_per_character"] == measured[-1]["bits_per_character_sw"], "the target counts"


def test_the_phase_1_student_is_a_masked_language_model_with_its_tokenizer(chain: Chain) -> None:
    folder = chain.place("distil") / "student"
    student, tokenizer = AutoModelForMaskedLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    assert student.config.num_hidden_layers == 2
    assert student.config.vocab_size == len(tokenizer) == chain.result("pack")["vocab_size"]
    batch = tokenizer(["Amina alitoka Mombasa na kaka yake."], return_tensors="pt")
    assert torch.isfinite(student(**batch).logits).all()
    assert tokenizer.unk_token_id not in batch["input_ids"]


def merged(chain: Chain) -> PreTrainedModel:
    return load_model("token-classification", chain.place("finetune") / "model")


def base(chain: Chain) -> PreTrainedModel:
    """The phase-1 student with a head for the task."""
    model = merged(chain)
    return AutoModelForTokenClassification.from_pretrained(
        chain.place("distil") / "student", num_labels=model.config.num_labels, dtype=torch.float32
    )


def test_the_sft_on_the_phase_1_student_is_the_merged_model_bit_for_bit(chain: Chain) -> None:
    student, final = base(chain), merged(chain)
    apply_delta(student, load_delta(chain.place("finetune") / "sft"))
    ours = dict(student.named_parameters())
    for name, value in final.named_parameters():
        assert torch.equal(ours[name], value), name


def test_the_sft_changes_no_more_of_the_encoder_than_the_density(chain: Chain) -> None:
    student, final = dict(base(chain).named_parameters()), dict(merged(chain).named_parameters())
    encoder = [name for name in final if not name.startswith("classifier")]
    changed = sum(int((student[name] != final[name]).sum()) for name in encoder)
    total = sum(final[name].numel() for name in encoder)
    # Some chosen parameters may end where they began, and some may be tied with the last one chosen.
    assert 0.5 * DENSITY < changed / total <= 1.001 * DENSITY
    delta = load_delta(chain.place("finetune") / "sft")
    assert delta.parameters == changed
    assert set(delta.dense) == {"classifier.weight", "classifier.bias"}


def test_records_are_whole(chain: Chain) -> None:
    teacher, student = (Record.model_validate(chain.result(kind)["record"]) for kind in ("evaluate", "finetune"))
    assert (teacher.layers, student.layers) == (4, 2)
    assert (teacher.is_student, student.is_student) == (False, True)
    assert student.teacher_score == teacher.score
    assert student.params < teacher.params
    assert student.vocab_size == chain.result("pack")["vocab_size"] < teacher.vocab_size
    for record in (teacher, student):
        assert record.lang == "sw"
        assert 0 <= record.score <= 1
        assert record.validation_score is not None and record.source_score is not None
        assert record.bytes > 0 and record.latency_ms and record.flops_per_token
        assert AutoModelForTokenClassification.from_pretrained(record.model_dir).config.num_labels == 3


def test_finished_steps_are_not_run_again(chain: Chain) -> None:
    before = {path: path.stat().st_mtime_ns for path in chain.folder.rglob("*")}
    assert run_here(chain.plan, chain.folder) == chain.results
    assert {path: path.stat().st_mtime_ns for path in chain.folder.rglob("*")} == before


@one_family
def test_accumulation_and_an_interruption_change_no_result(chain: Chain, tmp_path: Path) -> None:
    distil = chain.only("distil")
    (tmp_path / chain.only("pack").key).symlink_to(chain.place("pack"))

    class Power(Exception):
        pass

    def cut(step: Step, metrics: dict[str, Any]) -> None:
        if metrics["step"] == 11:
            raise Power

    often = replace(distil, runtime={"accumulation": 4, "checkpoint_minutes": 0})
    with pytest.raises(Power):
        run_here([often], tmp_path, cut)
    assert list((tmp_path / distil.key / "checkpoints").iterdir())
    result = run_here([often], tmp_path)[distil.key]
    assert result["loss"] == pytest.approx(chain.result("distil")["loss"], rel=1e-4)
    assert result["tokens"] == chain.result("distil")["tokens"]
    steps = [json.loads(line)["step"] for line in (tmp_path / distil.key / "metrics.jsonl").read_text().splitlines()]
    assert steps[-1] >= 11 and steps.count(1) == 1, "the first step was taken once"


@one_family
def test_an_average_is_of_what_may_change_and_of_the_head(
    chain: Chain, plan_for: Callable[..., Plan], bert_folder: Path
) -> None:
    overrides = ("distil.steps=24", "distil.evaluations=3", "finetune.average=0.5")
    averaged = Chain(plan_for(bert_folder, *overrides), chain.folder, {})
    assert averaged.place("distil") == chain.place("distil") and averaged.place("finetune") != chain.place("finetune")
    run_here(averaged.plan, chain.folder)
    mean, last = (load_delta(one.place("finetune") / "sft") for one in (averaged, chain))
    for name, places in last.indices.items():
        assert torch.isin(places, mean.indices[name]).float().mean() > 0.9, "the dense phase chooses as ever"
    assert not torch.equal(mean.dense["classifier.weight"], last.dense["classifier.weight"])


@one_family
def test_the_baseline_recipe_learns_from_scratch(
    chain: Chain, plan_for: Callable[..., Plan], bert_folder: Path, tmp_path: Path
) -> None:
    plan = plan_for(bert_folder, "recipes=[scratch]", "distil.steps=6")
    (step,) = (step for step in plan if step.kind == "distil")
    (tmp_path / step.needs["pack"]).symlink_to(chain.place("pack"))
    result = run_here([step], tmp_path)[step.key]
    assert result["loss"].keys() == {"mlm"}
    places = (tmp_path / step.key, chain.place("distil"))
    scratch, distilled = (AutoModelForMaskedLM.from_pretrained(place / "student") for place in places)
    assert scratch.num_parameters() == distilled.num_parameters()
    assert not torch.allclose(scratch.get_input_embeddings().weight, distilled.get_input_embeddings().weight, atol=0.1)


@one_family
def test_a_task_teacher_that_is_given_is_not_trained(
    chain: Chain, plan_for: Callable[..., Plan], bert_folder: Path, tmp_path: Path
) -> None:
    given = chain.place("task-teacher") / "model"
    plan = plan_for(bert_folder, f"task_teacher={given}")
    steps = [step for step in plan if step.kind in {"task-teacher", "evaluate"}]
    results = run_here(steps, tmp_path)
    assert results[steps[0].key]["model"] == str(given)
    assert results[steps[1].key]["record"]["score"] == chain.result("evaluate")["record"]["score"]
