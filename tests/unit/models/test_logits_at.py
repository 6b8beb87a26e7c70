"""Logits at chosen positions are those of all positions, for every family."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from transformers import PreTrainedModel

from bistil_ray.models.logits_at import logits_at


def test_chosen_logits_are_the_same_numbers(
    family_name: str, make_model: Callable[..., PreTrainedModel], inputs: dict[str, Tensor]
) -> None:
    model = make_model(family_name).double()
    chosen = torch.rand(inputs["input_ids"].shape, generator=torch.Generator().manual_seed(3)) < 0.4
    with torch.no_grad():
        found, everywhere = logits_at(model, inputs, chosen), model(**inputs).logits
    assert found.shape == (int(chosen.sum()), model.config.vocab_size)
    assert torch.allclose(found, everywhere[chosen], rtol=0, atol=1e-12)


def test_a_failing_forward_pass_leaves_the_model_as_it_was(
    make_model: Callable[..., PreTrainedModel], inputs: dict[str, Tensor]
) -> None:
    model = make_model("bert")
    with pytest.raises(IndexError):
        logits_at(model, inputs, torch.ones(1, 1000, dtype=torch.bool))
    assert model(**inputs).logits.shape == (*inputs["input_ids"].shape, model.config.vocab_size)
