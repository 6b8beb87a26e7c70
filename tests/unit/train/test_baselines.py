"""The baselines' objectives: each learns, and neither padding nor how a batch is cut changes what is learned."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional
from transformers import AutoModelForMaskedLM, PreTrainedModel

from bistil_ray.data.masking import IGNORED
from bistil_ray.train.baselines import RelationDistillation, TripleDistillation
from bistil_ray.train.loop import run_phase
from bistil_ray.train.phase import Batch, Objective, Phase, Progress

MakeObjective = Callable[[PreTrainedModel, PreTrainedModel], Objective]
LENGTHS = torch.tensor([12, 3, 7, 12, 1, 9])


def make_batch(pad_id: int) -> dict[str, Tensor]:
    """A batch with padding in which about a third of the tokens are masked."""
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(5, 60, (6, 12), generator=generator)
    mask = (torch.arange(12) < LENGTHS[:, None]).long()
    masked = (torch.rand(6, 12, generator=generator) < 0.35) & mask.bool()
    return {
        "input_ids": ids.masked_fill(mask == 0, pad_id),
        "attention_mask": mask,
        "labels": ids.masked_fill(~masked, IGNORED),
    }


def cut(batch: Batch, sizes: list[int]) -> list[Batch]:
    parts = {name: values.split(sizes) for name, values in batch.items()}
    return [{name: values[index] for name, values in parts.items()} for index in range(len(sizes))]


def triple(student: PreTrainedModel, teacher: PreTrainedModel) -> Objective:
    return TripleDistillation(student, teacher)


def relations(student: PreTrainedModel, teacher: PreTrainedModel) -> Objective:
    return RelationDistillation(student.base_model, teacher.base_model, teacher_layer=3, relation_heads=2)


each_objective = pytest.mark.parametrize("objective", [triple, relations])


@pytest.fixture(params=["bert_folder", "xlmr_folder"])
def teacher(request: pytest.FixtureRequest) -> PreTrainedModel:
    folder: Path = request.getfixturevalue(request.param)
    return AutoModelForMaskedLM.from_pretrained(folder, dtype=torch.float64)


def random_student(teacher: PreTrainedModel, **shape: int) -> PreTrainedModel:
    """Two layers of random weights in the teacher's shape or, as far as given, another."""
    config = copy.deepcopy(teacher.config)
    config.update({"num_hidden_layers": 2, "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, **shape})
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return AutoModelForMaskedLM.from_config(config).double().train()


def gradients(goal: Objective, parts: list[Batch]) -> tuple[dict[str, float], dict[str, Tensor]]:
    """What a training step over these micro-batches has to do with."""
    counts: dict[str, float] = {}
    for part in parts:
        for name, count in goal.counts(part).items():
            counts[name] = counts.get(name, 0.0) + count
    terms = dict.fromkeys(counts, 0.0)
    goal.model.zero_grad()
    for part in parts:
        losses = goal.losses(part, counts)
        torch.stack(list(losses.values())).sum().backward()
        for name, value in losses.items():
            terms[name] += value.item()
    return terms, {name: p.grad.clone() for name, p in goal.model.named_parameters() if p.grad is not None}


def assert_same(
    one: tuple[dict[str, float], dict[str, Tensor]], other: tuple[dict[str, float], dict[str, Tensor]]
) -> None:
    assert other[0] == pytest.approx(one[0], rel=1e-11)
    assert one[1].keys() == other[1].keys()
    for name, gradient in one[1].items():
        torch.testing.assert_close(other[1][name], gradient, rtol=1e-8, atol=1e-11, msg=name)


@each_objective
def test_every_term_falls_in_a_few_steps(objective: MakeObjective, teacher: PreTrainedModel) -> None:
    goal = objective(random_student(teacher), teacher)
    batch = make_batch(teacher.config.pad_token_id)
    seen: list[dict[str, float]] = []

    def keep(progress: Progress) -> None:
        seen.append(progress.terms)

    run_phase(
        goal, Phase(steps=20, lr=1e-2, precision="fp32"), lambda start: iter([[batch]] * (20 - start)), after_step=keep
    )
    assert seen[0].keys() == goal.counts(batch).keys()
    for name, first in seen[0].items():
        assert 0 < seen[-1][name] < 0.7 * first, name


@each_objective
@pytest.mark.parametrize("sizes", [[3, 3], [1, 4, 1], [4, 1, 1]])
def test_a_batch_in_parts_gives_the_losses_and_gradients_of_the_whole(
    objective: MakeObjective, sizes: list[int], teacher: PreTrainedModel
) -> None:
    goal = objective(random_student(teacher), teacher)
    batch = make_batch(teacher.config.pad_token_id)
    assert_same(gradients(goal, [batch]), gradients(goal, cut(batch, sizes)))


def test_some_part_of_the_batch_has_no_masked_token() -> None:
    """Or the test above would not show what becomes of one."""
    assert (cut(make_batch(0), [4, 1, 1])[1]["labels"] == IGNORED).all()


@each_objective
def test_more_padding_changes_nothing(objective: MakeObjective, teacher: PreTrainedModel) -> None:
    goal = objective(random_student(teacher), teacher)
    batch = make_batch(teacher.config.pad_token_id)
    fill = {"input_ids": teacher.config.pad_token_id, "attention_mask": 0, "labels": IGNORED}
    longer = {name: functional.pad(values, (0, 5), value=fill[name]) for name, values in batch.items()}
    assert_same(gradients(goal, [batch]), gradients(goal, [longer]))


def test_triple_loss_is_what_the_whole_logits_give(teacher: PreTrainedModel) -> None:
    student = random_student(teacher)
    batch = make_batch(teacher.config.pad_token_id)
    inputs = {name: batch[name] for name in ("input_ids", "attention_mask")}
    valid, masked = batch["attention_mask"].bool(), batch["labels"] != IGNORED
    with torch.no_grad():
        ours = student(**inputs, output_hidden_states=True)
        theirs = teacher(**inputs, output_hidden_states=True)
        targets = (theirs.logits / 2).softmax(-1)
        divergence_BT = 4 * (targets * (targets.log() - (ours.logits / 2).log_softmax(-1))).sum(-1)
        cosine_BT = functional.cosine_similarity(ours.hidden_states[-1], theirs.hidden_states[-1], dim=-1)
        entropy = functional.cross_entropy(ours.logits[masked], batch["labels"][masked])
    goal = TripleDistillation(student, teacher)
    losses = {name: value.item() for name, value in goal.losses(batch, goal.counts(batch)).items()}
    assert losses == pytest.approx(
        {
            "kl": 5 * divergence_BT[valid].mean().item(),
            "mlm": 2 * entropy.item(),
            "cosine": 1 - cosine_BT[valid].mean().item(),
        },
        rel=1e-11,
    )


@each_objective
def test_the_teacher_learns_nothing(objective: MakeObjective, teacher: PreTrainedModel) -> None:
    goal = objective(random_student(teacher), teacher.train())
    gradients(goal, [make_batch(teacher.config.pad_token_id)])
    assert not any(module.training for module in teacher.base_model.modules()), "dropout would blur what it teaches"
    assert all(parameter.grad is None for parameter in teacher.parameters())


def test_relations_are_learned_across_widths_heads_and_layers(teacher: PreTrainedModel) -> None:
    student = random_student(teacher, hidden_size=24, num_attention_heads=3, intermediate_size=40)
    losses = []
    for layer in range(teacher.config.num_hidden_layers):
        goal = RelationDistillation(student.base_model, teacher.base_model, teacher_layer=layer, relation_heads=4)
        terms, found = gradients(goal, [make_batch(teacher.config.pad_token_id)])
        losses.append(terms["relation"])
    assert len(set(losses)) == len(losses), "each layer of the teacher has its own relations"
    for kind in ("query", "key", "value"):
        assert found[f"encoder.layer.1.attention.self.{kind}.weight"].abs().max() > 0
        assert found[f"encoder.layer.0.attention.self.{kind}.weight"].abs().max() > 0


def test_a_teacher_has_no_distance_from_itself(teacher: PreTrainedModel) -> None:
    batch = make_batch(teacher.config.pad_token_id)
    goal: Objective = RelationDistillation(teacher.base_model, teacher.base_model, teacher_layer=3, relation_heads=8)
    assert goal.losses(batch, goal.counts(batch))["relation"].item() == 0.0
    goal = TripleDistillation(teacher, teacher)
    losses = goal.losses(batch, goal.counts(batch))
    assert losses["kl"].item() == 0.0 and losses["cosine"].item() == pytest.approx(0, abs=1e-15)
    assert losses["mlm"].item() > 0
