"""Parts of a masked language model that do not learn."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Any

from torch import Tensor, nn
from transformers import PreTrainedModel

from .families import family_of


def freeze(model: PreTrainedModel, parts: Collection[str]) -> None:
    """Let the named parts of ``model`` learn nothing, in place; ``parts`` are keys of ``PARTS``.

    ``layer_norm`` is every layer normalisation. ``output_embedding`` is the matrix that scores the vocabulary; where it
    is the input embedding as well, it becomes a matrix of its own first, so that the input embedding still learns. A
    head that has no such matrix, but multiplies by the input embedding, has nothing to freeze.
    """
    for part in parts:
        for parameter in PARTS[part](model):
            parameter.requires_grad_(False)


def untie_output_embedding(model: PreTrainedModel) -> Tensor | None:
    """Let the output embedding be a matrix of its own where it is the input embedding, in place, and give it.

    The model computes what it did before; the output bias is untouched. None for heads that have no output layer but
    multiply by the input embedding.
    """
    output = family_of(model.config).output(model)
    if output is None:
        return None
    embedding: Any = model.get_input_embeddings()
    if output.weight is embedding.weight:
        output.weight = nn.Parameter(output.weight.detach().clone())
        model.config.tie_word_embeddings = False
    return output.weight


def _layer_norms(model: PreTrainedModel) -> Iterable[Tensor]:
    layers = (module for module in model.modules() if isinstance(module, nn.LayerNorm))
    return [parameter for layer in layers for parameter in layer.parameters()]


def _output_embedding(model: PreTrainedModel) -> Iterable[Tensor]:
    output = untie_output_embedding(model)
    return () if output is None else (output,)


PARTS: dict[str, Callable[[PreTrainedModel], Iterable[Tensor]]] = {
    "layer_norm": _layer_norms,
    "output_embedding": _output_embedding,
}
