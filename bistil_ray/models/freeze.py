"""Parts of a masked language model that do not learn."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Any

from torch import Tensor, nn
from transformers import PreTrainedModel

from ..errors import ModelError
from .families import family_of


def freeze(model: PreTrainedModel, parts: Collection[str]) -> None:
    """Let the named parts of ``model`` learn nothing, in place; ``parts`` are keys of ``PARTS``.

    ``layer_norm`` is every layer normalisation. ``output_embedding`` is the matrix that scores the vocabulary; where it
    is the input embedding as well, it becomes a matrix of its own first, so that the input embedding still learns.
    """
    for part in parts:
        for parameter in PARTS[part](model):
            parameter.requires_grad_(False)


def untie_output_embedding(model: PreTrainedModel) -> Tensor:
    """Let the output embedding be a matrix of its own where it is the input embedding, in place, and give it.

    The model computes what it did before; the output bias is untouched. ModelError for heads that have no output layer
    but multiply by the input embedding.
    """
    output = family_of(model.config).output(model)
    if output is None:
        raise ModelError(
            f"the head of this {model.config.model_type} has no output embedding of its own to freeze: "
            "--set adapt.freeze=[layer_norm]"
        )
    embedding: Any = model.get_input_embeddings()
    if output.weight is embedding.weight:
        output.weight = nn.Parameter(output.weight.detach().clone())
        model.config.tie_word_embeddings = False
    return output.weight


def _layer_norms(model: PreTrainedModel) -> Iterable[Tensor]:
    layers = (module for module in model.modules() if isinstance(module, nn.LayerNorm))
    return [parameter for layer in layers for parameter in layer.parameters()]


PARTS: dict[str, Callable[[PreTrainedModel], Iterable[Tensor]]] = {
    "layer_norm": _layer_norms,
    "output_embedding": lambda model: (untie_output_embedding(model),),
}
