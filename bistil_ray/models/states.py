"""One forward pass that hands out chosen hidden states, attention maps, queries, keys and values.

transformers returns attention probabilities only with its plain attention in every layer, which costs time
and memory where nobody looks. Here the layers whose maps are asked for compute plain softmax attention, all
others a fused kernel. Families that compute attention by themselves have maps in every layer anyway; there
hooks pick up what is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedConfig
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask
from transformers.utils import ModelOutput

from ..errors import ModelError
from ..losses.attention import Vectors, attention_map
from ..losses.precision import at_least_float32
from .attending import attend
from .families import OwnAttention, family_of

IMPLEMENTATION = "bistil_observed"
MAP, VECTORS = "probabilities", ("query", "key", "value")


class Observed(NamedTuple):
    """What one forward pass gave: the output, and in the order asked for the states (BTD), the maps (BHTT) and the
    vectors of each layer.
    """

    output: ModelOutput
    hidden: tuple[Tensor, ...]
    attention: tuple[Tensor, ...]
    vectors: tuple[Vectors, ...] = ()


def observe(
    model: nn.Module,
    inputs: Mapping[str, Tensor],
    hidden: Sequence[int],
    attention: Sequence[int],
    vectors: Sequence[int] = (),
) -> Observed:
    """Run ``model`` on ``inputs`` once and keep the hidden states, attention maps and vectors asked for.

    ``model`` is an encoder with or without a head, or one wrapped for data parallel training; ``inputs`` are
    the arguments of its forward. ``hidden`` are state numbers (0 the output of the embeddings, i that of
    layer i), ``attention`` and ``vectors`` layer numbers from 0. Everything is differentiable.

    Maps are probabilities before dropout, in float32, or in float64 for a float64 model; under autocast the
    softmax is in float32 as well (DeBERTa's own is in what autocast makes of it). Vectors are queries, keys and
    values as attention compares and mixes them, in its precision, rotary positions applied: a map is the
    ``attention_map`` of them and their mask. Where attention is the model's own (DeBERTa), it adds to the products
    what it has for relative positions, and the mask is not seen.

    No mask is built if ``attention_mask`` is absent or all ones, but for local attention; queries that are
    padding have maps too. The model's attention setting or hooks are changed during the call and put back, so
    a model must not be run by two threads at once, and gradient checkpointing, which runs layers again
    afterwards, does not go with it.

    Raises ValueError for a layer the model does not have, ModelError if the model's attention cannot be
    observed.
    """
    inner: Any = getattr(model, "module", model)
    layers = inner.config.num_hidden_layers
    if not set(hidden) <= set(range(layers + 1)) or not {*attention, *vectors} <= set(range(layers)):
        asked = f"states {list(hidden)}, maps {list(attention)} and vectors {list(vectors)}"
        raise ValueError(f"{asked} of a model of {layers} layers")
    family = family_of(inner.config)
    wish = _Wish(family.attentions(inner), attention, vectors)
    if family.own_attention is None:
        listening = _implementation(inner.config, wish)
    else:
        listening = _hooks(family.own_attention, inner.config, wish)
    with listening as arguments:
        output = model(**inputs, **arguments, output_hidden_states=bool(hidden), return_dict=True)
    if wish.wanted - wish.seen.keys():
        raise ModelError(
            f"the attention of a {type(inner).__name__} cannot be observed: "
            "distil hidden states alone (recipe bistil with attention_weight=0)"
        )
    states = output.hidden_states
    return Observed(
        # Without the states of all layers, which would live as long as the output does.
        output=type(output)(**{name: value for name, value in output.items() if name != "hidden_states"}),
        hidden=tuple(states[state] for state in hidden),
        attention=tuple(wish.seen[MAP, layer] for layer in attention),
        vectors=tuple(
            Vectors(wish.seen["query", i], wish.seen["key", i], wish.seen["value", i], wish.masks.get(i))
            for i in vectors
        ),
    )


class _Wish:
    """What one call wants to see of which layers, and what it saw; keys are (what, layer)."""

    def __init__(self, attentions: Sequence[nn.Module], maps: Sequence[int], vectors: Sequence[int]) -> None:
        self.attentions = attentions
        self.layer_of = {module: layer for layer, module in enumerate(attentions)}
        self.wanted = {(MAP, layer) for layer in maps} | {(what, layer) for what in VECTORS for layer in vectors}
        self.seen: dict[tuple[str, int], Tensor] = {}
        self.masks: dict[int, Tensor | None] = {}

    def show(self, what: str, layer: int, values: Tensor) -> None:
        """Keep what is wanted, the first time it is seen."""
        if (what, layer) in self.wanted:
            self.seen.setdefault((what, layer), values)


@contextmanager
def _hooks(own: OwnAttention, config: PreTrainedConfig, wish: _Wish) -> Iterator[dict[str, Any]]:
    """Listen for a while at the parts of attention that computes by itself."""

    def map_hook(layer: int, _: nn.Module, arguments: tuple[Tensor]) -> None:
        wish.show(MAP, layer, at_least_float32(arguments[0]))

    def vector_hook(what: str, layer: int, _: nn.Module, __: tuple[Tensor], output_BTD: Tensor) -> None:
        # Projections that positions share are called with these afterwards: the first call counts.
        wish.show(what, layer, output_BTD.unflatten(-1, (config.num_attention_heads, -1)).transpose(1, 2))

    handles = []
    for what, layer in wish.wanted:
        part = wish.attentions[layer].get_submodule(getattr(own, what))
        if what == MAP:
            handles.append(part.register_forward_pre_hook(partial(map_hook, layer)))
        else:
            handles.append(part.register_forward_hook(partial(vector_hook, what, layer)))
    try:
        yield {}
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def _implementation(config: PreTrainedConfig, wish: _Wish) -> Iterator[dict[str, Any]]:
    """Let the model of this configuration use the observed attention for a while."""
    AttentionInterface.register(IMPLEMENTATION, _observed_attention)
    AttentionMaskInterface.register(IMPLEMENTATION, sdpa_mask)
    before = config._attn_implementation
    config._attn_implementation = IMPLEMENTATION
    try:
        # The wish travels through the model as a keyword argument.
        yield {"observation": wish}
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
    layer = -1 if observation is None else observation.layer_of[module]
    # Heads lie side by side in the projections: products of whole matrices take half the time, copying almost none.
    query, key, value = query.contiguous(), key.contiguous(), value.contiguous()
    if observation is not None:
        for what, vectors_BHTd in zip(VECTORS, (query, key, value), strict=True):
            observation.show(what, layer, vectors_BHTd)
        observation.masks[layer] = None if attention_mask is None else attention_mask.expand(len(query), -1, -1, -1)
    if observation is None or (MAP, layer) not in observation.wanted:
        if query.device.type == "cpu" and query.dtype == torch.bfloat16 and dropout == 0:
            return attend(query, key, value, attention_mask, scaling).transpose(1, 2), None
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **kwargs
        )
    probabilities_BHTT = attention_map(query, key, attention_mask, scaling)
    observation.show(MAP, layer, probabilities_BHTT)
    weights_BHTT = nn.functional.dropout(probabilities_BHTT, p=dropout, training=module.training)
    mixed_BHTd = torch.matmul(weights_BHTT.to(value.dtype), value)
    return mixed_BHTd.transpose(1, 2).contiguous(), None
