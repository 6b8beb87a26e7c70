"""Families are told apart, and their parts are found."""

from __future__ import annotations

import pytest
import torch
from transformers import AutoConfig

from bistil_ray.errors import ModelError
from bistil_ray.models.families import FAMILIES, HEADS, family_of


@pytest.mark.parametrize("head", sorted(HEADS))
def test_parts_are_found_with_every_head(make_model, family_name: str, head: str) -> None:
    model = make_model(family_name, head)
    family = family_of(model.config)
    assert family is FAMILIES[family_name]
    assert type(model) is family.head_class(head)
    assert len(family.layers(model)) == 4
    assert model.get_input_embeddings() in family.embeddings(model).children()
    assert len(family.attentions(model)) == 4
    assert (family.output(model) is not None) == (head == "masked-lm")
    rows = [name for name, parameter in model.named_parameters() if len(parameter) == model.config.vocab_size]
    assert len(family.vocabulary_parameters(model)) == len(rows) == (2 if head == "masked-lm" else 1)
    names = [name for name, _ in model.named_parameters(remove_duplicate=False)]
    prefix = family.parameter_prefix(model)
    encoder = [prefix + name for name, _ in family.encoder(model).named_parameters(remove_duplicate=False)]
    assert encoder and set(encoder) <= set(names)
    assert (prefix == "") == (head == "base") == (set(encoder) == set(names))


@pytest.mark.parametrize("family_name", ["bert", "roberta", "xlm-roberta"])
def test_pooler_can_be_dropped(make_model, inputs, family_name: str) -> None:
    model = make_model(family_name, "base")
    family = family_of(model.config)
    assert family.has_pooler(model)
    state = model(**inputs).last_hidden_state
    family.drop_pooler(model)
    assert not family.has_pooler(model)
    assert torch.equal(model(**inputs).last_hidden_state, state)
    assert not family.has_pooler(make_model(family_name, "masked-lm"))


def test_positions_start_behind_the_pad_id_in_roberta_only() -> None:
    first = {name: family.first_position(AutoConfig.for_model(name)) for name, family in FAMILIES.items()}
    assert {name for name, row in first.items() if row == 2} == {"roberta", "xlm-roberta"}
    assert {name for name, row in first.items() if row == 0} == set(FAMILIES) - {"roberta", "xlm-roberta"}


def test_other_families_are_refused_with_the_supported_ones() -> None:
    with pytest.raises(ModelError, match="'gpt2' is not supported; allowed: bert, deberta-v2, distilbert"):
        family_of(AutoConfig.for_model("gpt2"))
