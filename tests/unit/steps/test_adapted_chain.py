"""Teachers adapted to each language: from language SFTs, trained or given, to students and scores."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import PreTrainedModel

from bistil_ray.config_sources import load_config
from bistil_ray.inputs import gather_facts
from bistil_ray.models.heads import load_model
from bistil_ray.planning.plan import Plan, make_plan
from bistil_ray.sparse.convert import write_composable
from bistil_ray.sparse.delta import apply_delta
from bistil_ray.sparse.files import load_delta
from bistil_ray.steps import evaluate
from bistil_ray.steps.context import Job, LocalContext
from bistil_ray.steps.local import run_here
from bistil_ray.steps.scoring import score

FEW = "{enabled: true, dense_steps: 6, sparse_steps: 6, batch_size: 8, lr: 0.01, precision: fp32, density: 0.1}"


@pytest.fixture(scope="module")
def plan_for(tiny_settings: dict[str, Any], xlmr_folder: Path) -> Callable[..., Plan]:
    """A function planning a run of one language with some settings changed."""

    def plan(*overrides: str) -> Plan:
        config = load_config(None, overrides, {"teachers": [str(xlmr_folder)]}, tiny_settings)
        return make_plan(config, gather_facts(config))

    return plan


@pytest.fixture(scope="module")
def work(plan_for: Callable[..., Plan], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The finished steps of a run with adaptation, and of one without."""
    folder = tmp_path_factory.mktemp("steps")
    run_here(plan_for(f"adapt={FEW}"), folder)
    run_here(plan_for(), folder)
    return folder


def place(plan: Plan, work: Path, kind: str, **about: object) -> Path:
    (key,) = (step.key for step in plan if step.kind == kind and about.items() <= step.about.items())
    return work / key


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return dict(load_model("token-classification", folder).named_parameters())


def test_the_teacher_is_scored_under_the_sft_of_the_language(plan_for: Callable[..., Plan], work: Path) -> None:
    plan = plan_for(f"adapt={FEW}")
    scored = weights(place(plan, work, "evaluate") / "model")
    expected = load_model("token-classification", place(plan, work, "task-teacher") / "model")
    apply_delta(expected, load_delta(place(plan, work, "adapt", lang="sw") / "sft"))
    for name, value in expected.named_parameters():
        assert torch.equal(scored[name], value), name


def test_each_language_is_read_under_its_own_sft(
    plan_for: Callable[..., Plan], work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, seen = plan_for(f"adapt={FEW}"), {}

    def watched(speakers: dict[str, PreTrainedModel], folder: Path, job: Job) -> dict[str, Any]:
        seen.update({lang: dict(speaker.named_parameters()) for lang, speaker in speakers.items()})
        return score(speakers, folder, job)

    monkeypatch.setattr(evaluate, "score", watched)
    (step,) = (step for step in plan if step.kind == "evaluate")
    needs = {role: work / key for role, key in step.needs.items()}
    evaluate.run(Job("evaluate", step.settings, step.inputs, needs, tmp_path, about=step.about), LocalContext())
    for lang in ("en", "sw"):
        expected = load_model("token-classification", place(plan, work, "task-teacher") / "model")
        apply_delta(expected, load_delta(place(plan, work, "adapt", lang=lang) / "sft"))
        assert all(torch.equal(seen[lang][name], value) for name, value in expected.named_parameters()), lang


def test_the_task_is_learned_on_top_of_the_source_sft_which_stays_apart(
    plan_for: Callable[..., Plan], work: Path, xlmr_folder: Path
) -> None:
    adapted, plain = (
        weights(place(plan, work, "task-teacher") / "model") for plan in (plan_for(f"adapt={FEW}"), plan_for())
    )
    assert any(not torch.equal(adapted[name], plain[name]) for name in plain), "another start is another result"
    delta = load_delta(place(plan_for(f"adapt={FEW}"), work, "adapt", lang="en") / "sft")
    start = weights_of_teacher(xlmr_folder)
    name = max(delta.indices, key=lambda name: float(delta.values[name].abs().mean()))
    index = delta.indices[name]
    moved = (adapted[name].flatten()[index] - start[name].flatten()[index]).detach()
    assert moved.abs().mean() < 0.5 * delta.values[name].abs().mean(), "the language's differences are not in the model"


def weights_of_teacher(folder: Path) -> dict[str, torch.Tensor]:
    from bistil_ray.models.loading import load_masked_lm

    return dict(load_masked_lm(folder).named_parameters(remove_duplicate=False))


def test_students_of_adapted_teachers_are_other_students(plan_for: Callable[..., Plan], work: Path) -> None:
    results = [run_here(plan, work) for plan in (plan_for(f"adapt={FEW}"), plan_for())]
    losses = [next(result["loss"] for key, result in steps.items() if key.startswith("distil")) for steps in results]
    assert losses[0] != losses[1]
    assert all(any("record" in result for result in steps.values()) for steps in results)


def test_sfts_of_composable_sft_are_taken_as_they_are(
    plan_for: Callable[..., Plan], work: Path, tmp_path: Path
) -> None:
    trained = plan_for(f"adapt={FEW}")
    for lang in ("en", "sw"):
        delta = load_delta(place(trained, work, "adapt", lang=lang) / "sft")
        (tmp_path / f"sft-{lang}").mkdir()
        write_composable(delta, tmp_path / f"sft-{lang}")
    plan = plan_for(f"language_sfts={tmp_path}/sft-{{lang}}")
    assert plan.by_kind()["pack"] == 1, "nothing is trained on single languages"
    run_here(plan, work)
    given, own = (weights(place(each, work, "evaluate") / "model") for each in (plan, trained))
    # composable-sft keeps differences in float32.
    assert all(torch.allclose(given[name], own[name], rtol=0, atol=1e-6) for name in own)


def test_labels_of_several_languages_are_each_learned_under_their_own_sft(
    plan_for: Callable[..., Plan], work: Path
) -> None:
    plan = plan_for(f"adapt={FEW}", "task_sources=[en,sw]", "teach.density=0.2", "teach.sparse_epochs=1")
    results = run_here(plan, work)
    (taught,) = (step for step in plan if step.kind == "task-teacher")
    (student,) = (step for step in plan if step.kind == "finetune")
    assert {"sft-en", "sft-sw"} <= set(taught.needs) and {"sft-en", "sft-sw"} <= set(student.needs)
    assert results[student.key]["record"]["teacher_score"] is not None
    assert load_delta(work / student.key / "sft").parameters > 0
