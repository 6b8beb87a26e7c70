"""Logits of a masked language model where they are wanted, and nowhere else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn
from transformers import PreTrainedModel


def logits_at(model: PreTrainedModel, inputs: Mapping[str, Tensor], chosen_BT: Tensor) -> Tensor:
    """Give the logits (M, V) at the M positions that are True in ``chosen_BT``, row after row; differentiable.

    ``inputs`` are the arguments of the model's forward. Works for every family whose masked language model is a head on
    the last hidden states of ``model.base_model``. With a large vocabulary the logits of all positions would be by far
    the largest tensor of a training step.
    """
    return states_and_logits_at(model, inputs, chosen_BT)[1]


def states_and_logits_at(
    model: PreTrainedModel, inputs: Mapping[str, Tensor], chosen_BT: Tensor
) -> tuple[Tensor, Tensor]:
    """Give the last hidden states (BTD) at all positions, and what ``logits_at`` gives, in one forward pass."""
    states: list[Tensor] = []

    def choose(encoder: nn.Module, arguments: tuple[Any, ...], output: Any) -> Any:  # noqa: ANN401
        states.append(output.last_hidden_state)
        output.last_hidden_state = output.last_hidden_state[chosen_BT][None]
        return output

    hook = model.base_model.register_forward_hook(choose)
    try:
        logits_MV: Tensor = model(**inputs).logits[0]
    finally:
        hook.remove()
    return states[0], logits_MV
