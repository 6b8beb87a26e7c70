"""One forward pass that hands out chosen hidden states and attention maps.

transformers returns attention probabilities only with its plain attention in every layer, which costs time
and memory where nobody looks. Here the layers asked for compute plain softmax attention, all others the fused
kernel.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedConfig
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask
from transformers.utils import ModelOutput

from bistil_ray.errors import ModelError
from bistil_ray.models.families import check_layers

IMPLEMENTATION = "bistil_observed"


class Observed(NamedTuple):
    """What one forward pass gave: the output, and in the order asked for the states (BTD) and maps (BHTT)."""

    output: ModelOutput
    hidden: tuple[Tensor, ...]
    attention: tuple[Tensor, ...]


class Alignment(NamedTuple):
    """Which states and maps of student and teacher belong together, numbered as for ``observe``."""

    student_hidden: tuple[int, ...]
    teacher_hidden: tuple[int, ...]
    student_attention: tuple[int, ...]
    teacher_attention: tuple[int, ...]


def align_layers(teacher_layers: int, student_layers: int, top_only: bool = False) -> Alignment:
    """Which layer of the student learns from which of the teacher, as in BISTIL.

    With f = teacher / student layers: student state i from teacher state i*f, student map i from teacher map
    (i+1)*f - 1. ``top_only`` keeps the last state and the last map. ModelError if the layer counts do not
    divide.
    """
    check_layers(teacher_layers, student_layers)
    factor = teacher_layers // student_layers
    states, maps = range(student_layers + 1), range(student_layers)
    if top_only:
        states, maps = states[-1:], maps[-1:]
    return Alignment(
        student_hidden=tuple(states),
        teacher_hidden=tuple(i * factor for i in states),
        student_attention=tuple(maps),
        teacher_attention=tuple((i + 1) * factor - 1 for i in maps),
    )


def observe(
    model: nn.Module, inputs: Mapping[str, Tensor], hidden: Sequence[int], attention: Sequence[int]
) -> Observed:
    """Run ``model`` on ``inputs`` once and keep the hidden states and attention maps asked for.

    ``model`` is an encoder with or without a head, or one wrapped for data parallel training; ``inputs`` are
    the arguments of its forward. ``hidden`` are state numbers (0 the output of the embeddings, i that of
    layer i), ``attention`` layer numbers from 0. Everything is differentiable.

    Maps are probabilities before dropout, in float32, or in float64 for a float64 model; under autocast the
    softmax is in float32 as well. No mask is built if ``attention_mask`` is absent or all ones; queries that
    are padding have maps too. The model's attention setting is changed during the call and put back, so a
    model must not be run by two threads at once, and gradient checkpointing, which runs layers again
    afterwards, does not go with it.

    Raises ValueError for a layer the model does not have, ModelError if the model's attention cannot be
    observed.
    """
    inner: Any = getattr(model, "module", model)
    layers = inner.config.num_hidden_layers
    if not set(hidden) <= set(range(layers + 1)) or not set(attention) <= set(range(layers)):
        raise ValueError(f"states {list(hidden)} and maps {list(attention)} of a model of {layers} layers")
    wish = _Wish(attention)
    with _implementation(inner.config):
        output = model(**inputs, output_hidden_states=bool(hidden), return_dict=True, observation=wish)
    if len(wish.maps) < len(set(attention)):
        raise ModelError(f"the attention of a {type(inner).__name__} cannot be observed (unsupported family)")
    return Observed(
        output=output,
        hidden=tuple(output.hidden_states[state] for state in hidden),
        attention=tuple(wish.maps[layer] for layer in attention),
    )


class _Wish:
    """Which layers' maps one call wants, and the maps; it travels through the model as a keyword argument."""

    def __init__(self, layers: Sequence[int]) -> None:
        self.layers = frozenset(layers)
        self.maps: dict[int, Tensor] = {}


@contextmanager
def _implementation(config: PreTrainedConfig) -> Iterator[None]:
    """Let the model of this configuration use the observed attention for a while."""
    AttentionInterface.register(IMPLEMENTATION, _observed_attention)
    AttentionMaskInterface.register(IMPLEMENTATION, sdpa_mask)
    before = config._attn_implementation
    config._attn_implementation = IMPLEMENTATION
    try:
        yield
    finally:
        config._attn_implementation = before


def _observed_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    observation: _Wish | None = None,
    **kwargs: Any,  # noqa: ANN401  (whatever transformers hands on)
) -> tuple[Tensor, None]:
    """Attention of one layer, called by transformers: queries, keys, values BHTd; mask B1TT, True = look."""
    layer: Any = module.layer_idx
    if observation is None or layer not in observation.layers:
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **kwargs
        )
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    # Divided, not multiplied by the inverse: very sharp attention shows the last bit of the scores.
    scores_BHTT = torch.matmul(query, key.transpose(2, 3)) / (1 / scale)
    if attention_mask is not None:
        scores_BHTT = scores_BHTT.masked_fill(~attention_mask, torch.finfo(scores_BHTT.dtype).min)
    probabilities_BHTT = scores_BHTT.softmax(dim=-1, dtype=torch.promote_types(scores_BHTT.dtype, torch.float32))
    observation.maps[layer] = probabilities_BHTT
    weights_BHTT = nn.functional.dropout(probabilities_BHTT, p=dropout, training=module.training)
    mixed_BHTd = torch.matmul(weights_BHTT.to(value.dtype), value)
    return mixed_BHTd.transpose(1, 2).contiguous(), None
