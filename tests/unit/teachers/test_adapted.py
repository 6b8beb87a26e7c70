"""One teacher, a model for each language: as if each had weights of its own, and the teacher never changes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.func import functional_call
from transformers import AutoModelForMaskedLM, PreTrainedModel

from bistil_ray.errors import ModelError
from bistil_ray.sparse.delta import SparseDelta, apply_delta, extract_delta
from bistil_ray.teachers.adapted import adapted, shifted_parameters

IDS = torch.randint(5, 100, (3, 9), generator=torch.Generator().manual_seed(0))


@pytest.fixture(params=["bert_folder", "xlmr_folder"])
def folder(request: pytest.FixtureRequest) -> Path:
    return request.getfixturevalue(request.param)


def load(folder: Path) -> PreTrainedModel:
    return AutoModelForMaskedLM.from_pretrained(folder).eval()


def weights(model: PreTrainedModel) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in model.named_parameters(remove_duplicate=False)}


def language(teacher: PreTrainedModel, seed: int) -> SparseDelta:
    """A change of a tenth of the word embeddings and of one layer; the output embeddings are tied, and not named."""
    generator = torch.Generator().manual_seed(seed)
    before, after = weights(teacher), weights(teacher)
    for name, value in after.items():
        if "word_embeddings" in name or f"layer.{seed}." in name:
            value += torch.randn(value.shape, generator=generator) * (
                torch.rand(value.shape, generator=generator) < 0.1
            )
    return extract_delta(before, after, (), {"language": "sw"})


def logits(model: PreTrainedModel) -> Tensor:
    with torch.no_grad():
        return model(input_ids=IDS).logits


def test_languages_take_turns_without_a_trace_on_the_teacher(folder: Path) -> None:
    teacher = load(folder)
    start, plain = weights(teacher), logits(teacher)
    deltas = [language(teacher, seed) for seed in (0, 2)]
    models = [adapted(teacher, delta) for delta in deltas]
    alone = [load(folder) for _ in deltas]
    for model, delta in zip(alone, deltas, strict=True):
        apply_delta(model, delta)
    expected = [logits(model) for model in alone]
    assert not torch.equal(*expected) and not torch.equal(expected[0], plain)
    for _ in range(3):
        for model, value in zip(models, expected, strict=True):
            assert torch.equal(logits(model), value)
        assert torch.equal(logits(teacher), plain)
    assert all(torch.equal(value, start[name]) for name, value in teacher.named_parameters())


def test_only_what_differs_takes_memory(folder: Path) -> None:
    teacher = load(folder)
    delta = language(teacher, 0)
    theirs, ours = (dict(model.base_model.named_parameters()) for model in (teacher, adapted(teacher, delta)))
    differing = {f"{teacher.base_model_prefix}.{name}" for name in ours if ours[name] is not theirs[name]}
    assert differing == set(delta.indices)


def test_what_is_tied_in_the_teacher_is_tied(folder: Path) -> None:
    teacher = load(folder)
    model = adapted(teacher, language(teacher, 0))
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight
    assert model.get_input_embeddings().weight is not teacher.get_input_embeddings().weight


def test_an_sft_of_another_model_is_refused_and_leaves_the_teacher_alone(folder: Path) -> None:
    teacher = load(folder)
    start = weights(teacher)
    delta = language(teacher, 0)
    name = next(iter(delta.shapes))
    delta.shapes[name] = (*delta.shapes[name], 1)
    with pytest.raises(ModelError, match=name):
        adapted(teacher, delta)
    assert all(torch.equal(value, start[name]) for name, value in teacher.named_parameters())


def test_what_is_learned_under_an_sft_adds_to_it(folder: Path) -> None:
    model = load(folder).double()
    start = weights(model)
    delta = language(model, 0)
    shifted, alone = (functional_call(model, shifted_parameters(model, delta), kwargs={"input_ids": IDS}),
                      adapted(model, delta)(input_ids=IDS))  # fmt: skip
    assert torch.allclose(shifted.logits, alone.logits, rtol=0, atol=1e-12)
    shifted.logits.square().mean().backward()
    assert all(value.grad is not None for value in model.parameters())
    assert all(torch.equal(value, start[name]) for name, value in model.named_parameters())
