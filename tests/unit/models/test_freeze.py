"""What is frozen does not learn, what is not does, and freezing changes no output."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from bistil_ray.models.freeze import freeze, untie_output_embedding

MakeModel = Callable[..., PreTrainedModel]


def learning(model: PreTrainedModel) -> set[str]:
    return {name for name, value in model.named_parameters(remove_duplicate=False) if value.requires_grad}


def test_an_output_embedding_of_its_own_gives_the_same_logits(
    family_name: str, make_model: MakeModel, inputs: dict[str, Tensor]
) -> None:
    model = make_model(family_name)
    before = model(**inputs).logits
    weight = untie_output_embedding(model)
    assert torch.equal(model(**inputs).logits, before)
    assert weight is model.get_output_embeddings().weight
    assert torch.equal(weight, model.get_input_embeddings().weight)
    assert weight is not model.get_input_embeddings().weight


def test_what_is_untied_already_keeps_its_weights(family_name: str, make_model: MakeModel) -> None:
    model = make_model(family_name, tie_word_embeddings=False)
    weight = model.get_output_embeddings().weight
    assert untie_output_embedding(model) is weight


def test_the_input_embedding_learns_while_the_output_embedding_does_not(
    family_name: str, make_model: MakeModel, inputs: dict[str, Tensor]
) -> None:
    model = make_model(family_name)
    freeze(model, ("output_embedding",))
    model(**inputs).logits.square().mean().backward()
    assert model.get_output_embeddings().weight.grad is None
    assert model.get_input_embeddings().weight.grad is not None
    assert model.get_output_embeddings().bias.grad is not None


def test_no_layer_normalisation_learns_and_all_else_does(family_name: str, make_model: MakeModel) -> None:
    model = make_model(family_name)
    everything = learning(model)
    freeze(model, ("layer_norm",))
    norms = {name: module for name, module in model.named_modules() if isinstance(module, nn.LayerNorm)}
    assert everything - learning(model) == {f"{at}.{name}" for at, norm in norms.items() for name in norm.state_dict()}
    assert len(norms) >= 2 * model.config.num_hidden_layers


def test_a_head_that_multiplies_by_the_input_embedding_has_nothing_to_freeze(make_model: MakeModel) -> None:
    model = make_model("deberta-v2", legacy=False)
    everything = learning(model)
    freeze(model, ("output_embedding",))
    assert learning(model) == everything
