"""Logits of a masked language model where they are wanted, and nowhere else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedModel

ROWS = 16
"""Heads are shown multiples of so many positions, since every batch has another number of masked tokens: PyTorch keeps
what it prepares for each shape it meets, on CPUs in bf16 megabytes for each where the vocabulary is large."""


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
    with head_looking_at(model, chosen_BT) as states:
        logits_MV: Tensor = model(**inputs).logits[0]
    return states[0], logits_MV


@contextmanager
def head_looking_at(model: PreTrainedModel, chosen_BT: Tensor) -> Iterator[list[Tensor]]:
    """For a while, make ``model`` give logits (1, M, V) of the M positions that are True in ``chosen_BT`` alone.

    Yields a list that each forward pass adds its last hidden states (BTD) to; those of the output itself are not cut.
    """
    states: list[Tensor] = []
    wanted = int(chosen_BT.sum())

    def choose(encoder: nn.Module, arguments: tuple[Any, ...], output: Any) -> Any:  # noqa: ANN401
        states.append(output.last_hidden_state)
        chosen_MD = output.last_hidden_state[chosen_BT]
        output.last_hidden_state = functional.pad(chosen_MD, (0, 0, 0, -wanted % ROWS))[None]
        return output

    def cut(whole: nn.Module, arguments: tuple[Any, ...], output: Any) -> Any:  # noqa: ANN401
        output.logits = output.logits[:, :wanted]
        return output

    hooks = [model.base_model.register_forward_hook(choose), model.register_forward_hook(cut)]
    try:
        yield states
    finally:
        for hook in hooks:
            hook.remove()
