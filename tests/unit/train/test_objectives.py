"""The terms of phase 1 that the paper leaves out, against plain formulas over the logits of all positions."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor
from transformers import AutoModelForMaskedLM, PreTrainedModel

from bistil_ray.data.masking import IGNORED
from bistil_ray.errors import ConfigError
from bistil_ray.models.layers import align_layers
from bistil_ray.models.student import build_student
from bistil_ray.train.masked_lm import MaskedTokens
from bistil_ray.train.objectives import Distillation
from bistil_ray.train.phase import Batch

TEMPERATURE = 3.0


@pytest.fixture(scope="module")
def teacher(bert_folder: Path) -> PreTrainedModel:
    return AutoModelForMaskedLM.from_pretrained(bert_folder, dtype=torch.float64)


@pytest.fixture
def batch() -> dict[str, Tensor]:
    """Three sequences, the last one padded; two corrupted tokens each, but the last one, which has one."""
    ids = torch.randint(5, 150, (3, 7), generator=torch.Generator().manual_seed(1))
    labels = torch.full_like(ids, IGNORED)
    labels[torch.tensor([0, 0, 1, 1, 2]), torch.tensor([1, 4, 0, 6, 2])] = torch.tensor([7, 8, 9, 7, 11])
    mask = torch.ones_like(ids)
    mask[2, 4:] = 0
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


def objective(teacher: PreTrainedModel, weights: dict[str, float]) -> Distillation:
    tokens = MaskedTokens()
    student = build_student(teacher, (1, 3))
    return Distillation(student, [teacher], align_layers(4, 2), weights, tokens, TEMPERATURE, places=tokens.places)


def plain(student: PreTrainedModel, teacher: PreTrainedModel, batch: Batch) -> dict[str, Tensor]:
    inputs = {name: batch[name] for name in ("input_ids", "attention_mask")}
    theirs = (teacher(**inputs).logits.detach() / TEMPERATURE).softmax(-1)
    ours = student(**inputs).logits
    soft, right = [], []
    for row, place in (batch["labels"] != IGNORED).nonzero().tolist():
        soft.append(-(theirs[row, place] * (ours[row, place] / TEMPERATURE).log_softmax(-1)).sum())
        right.append(-ours[row, place].log_softmax(-1)[batch["labels"][row, place]])
    return {"tokens": torch.stack(soft).mean(), "tokens_labels": torch.stack(right).mean()}


def test_corrupted_tokens_and_what_the_teacher_says_of_them_are_learned_as_by_plain_formulas(
    teacher: PreTrainedModel, batch: Batch
) -> None:
    goal = objective(teacher, {"logits": 0.25, "labels": 2.0})
    counts = goal.counts(batch)
    assert counts == {"tokens": 5.0, "tokens_labels": 5.0}
    found = goal.losses(batch, counts)
    expected = plain(goal.model, teacher, batch)
    assert found["tokens"].item() == pytest.approx(0.25 * expected["tokens"].item(), rel=1e-12)
    assert found["tokens_labels"].item() == pytest.approx(2 * expected["tokens_labels"].item(), rel=1e-12)

    parameters = [value for value in goal.model.parameters() if value.requires_grad]
    mine = torch.autograd.grad(sum(found.values()), parameters, allow_unused=True)
    total = 0.25 * expected["tokens"] + 2 * expected["tokens_labels"]
    theirs = torch.autograd.grad(total, parameters, allow_unused=True)
    for one, other in zip(mine, theirs, strict=True):
        assert (one is None) == (other is None)
        assert one is None or torch.allclose(one, other, rtol=0, atol=1e-12)


@pytest.mark.parametrize("term", ["logits", "labels"])
def test_a_term_without_a_weight_is_not_computed(teacher: PreTrainedModel, batch: Batch, term: str) -> None:
    goal = objective(teacher, {"hidden": 1.0, term: 1.0})
    counts = goal.counts(batch)
    names = {"hidden", "tokens" if term == "logits" else "tokens_labels"}
    assert set(counts) == set(goal.losses(batch, counts)) == names


def test_nothing_that_is_left_to_compare_is_said(teacher: PreTrainedModel) -> None:
    """As where all layers of a ModernBERT's student look less far than those they would learn from."""
    unlike = align_layers(4, 2)._replace(student_attention=(), teacher_attention=())
    Distillation(teacher, [teacher], unlike, {"attention": 1.0, "hidden": 1.0})
    with pytest.raises(ConfigError, match="nothing to learn: no layer of the student .*: raise hidden_weight"):
        Distillation(teacher, [teacher], unlike, {"attention": 1.0})


def test_states_are_compared_at_all_positions_though_the_head_looks_at_some(
    teacher: PreTrainedModel, batch: Batch
) -> None:
    rich = objective(teacher, {"hidden": 1.0, "attention": 1.0, "labels": 1.0})
    pairs, weights = align_layers(4, 2), {"hidden": 1.0, "attention": 1.0}
    bare = Distillation(rich.model.base_model, [teacher.base_model], pairs, weights)
    counts = rich.counts(batch)
    ours, theirs = rich.losses(batch, counts), bare.losses(batch, counts)
    for name in weights:
        assert ours[name].item() == pytest.approx(theirs[name].item(), rel=1e-12), name
