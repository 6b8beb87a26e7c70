"""Factorised embeddings: a student with the embeddings of ELECTRA, a narrow table and a map to the hidden size.

With a vocabulary of tens of thousands, most of a small student's parameters are in its embeddings. ELECTRA's
architecture is that of BERT but for this factorisation, so transformers loads the result like any model.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers import ElectraConfig, ElectraForMaskedLM, PreTrainedConfig, PreTrainedModel

from ..errors import ModelError
from .families import ELECTRA, family_of
from .narrow import check_bert_like, fit_head

SHARED_SETTINGS = (
    "vocab_size",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "hidden_act",
    "hidden_dropout_prob",
    "attention_probs_dropout_prob",
    "classifier_dropout",
    "type_vocab_size",
    "initializer_range",
    "layer_norm_eps",
    "pad_token_id",
    "bos_token_id",
    "eos_token_id",
    "tie_word_embeddings",
)
TABLES = ("word_embeddings", "position_embeddings", "token_type_embeddings")


@torch.no_grad()
def factorise_embeddings(student: PreTrainedModel, rank: int) -> PreTrainedModel:
    """Turn a masked language model shaped like BERT into an ELECTRA one whose embeddings have ``rank`` numbers.

    The tables are projected on the ``rank`` directions in which a token's embedding is largest, all words counted
    alike; the map from there to the hidden size is the one that gives back the old embeddings best, by least squares.
    Layers are copied. Token ids stay, and each position keeps its embedding: where they were counted from the pad id,
    they are now counted from 0. Precision, device and mode are those of ``student``.

    ModelError for families and heads this is not written for, and unless 0 < rank < hidden size.
    """
    check_bert_like(student, "factorised embeddings (distil.embedding_rank)")
    family, hidden = family_of(student.config), student.config.hidden_size
    if not 0 < rank < hidden:
        raise ModelError(f"distil.embedding_rank is {rank}; allowed: 1 to {hidden - 1}, below the hidden size {hidden}")
    with torch.random.fork_rng(devices=[]):
        electra = ElectraForMaskedLM(_config(student.config, rank)).to(device=student.device, dtype=student.dtype)
    electra.train(student.training)

    ours, theirs = ELECTRA.embeddings(electra), family.embeddings(student)
    first = family.first_position(student.config)
    tables = {name: getattr(theirs, name).weight.double() for name in TABLES}
    tables["position_embeddings"] = tables["position_embeddings"][first:]
    directions = _directions(list(tables.values()), rank)
    for name, table in tables.items():
        getattr(ours, name).weight.copy_(table @ directions)
    output: Any = ELECTRA.output(electra)
    original: Any = family.output(student)
    output.weight.copy_(original.weight.double() @ directions)
    output.bias.copy_(original.bias)
    _fit_projection(ELECTRA.encoder(electra).embeddings_project, _embedded(ours, 0), _embedded(theirs, first))
    ELECTRA.layers(electra).load_state_dict(family.layers(student).state_dict())
    fit_head(electra, student, torch.eye(hidden, dtype=torch.float64, device=student.device), directions)
    return electra


def _config(config: PreTrainedConfig, rank: int) -> ElectraConfig:
    settings = {name: getattr(config, name) for name in SHARED_SETTINGS}
    return ElectraConfig(
        **settings, embedding_size=rank, max_position_embeddings=family_of(config).longest_text(config)
    )


def _directions(tables: list[Tensor], rank: int) -> Tensor:
    """The directions (D, rank) in which the sum of one row from each table is largest on average."""
    moments_DD = torch.stack([table.T @ table / len(table) for table in tables]).sum(0)
    return torch.linalg.eigh(moments_DD).eigenvectors[:, -rank:].flip(1)


def _embedded(embeddings: Any, first_position: int) -> Tensor:  # noqa: ANN401
    """What every token becomes at one position, in float64 on the CPU; positions are dealt out in turn."""
    words = embeddings.word_embeddings.weight
    positions = embeddings.position_embeddings.weight[first_position:]
    dealt = torch.arange(len(words), device=words.device) % len(positions)
    summed = words + positions[dealt] + embeddings.token_type_embeddings.weight[0]
    return embeddings.LayerNorm(summed).double().cpu()


def _fit_projection(projection: Any, seen: Tensor, wanted: Tensor) -> None:  # noqa: ANN401
    """Let ``projection`` of the rows of ``seen`` be as near as can be to those of ``wanted``, by least squares."""
    solution = torch.linalg.lstsq(torch.cat([seen, torch.ones_like(seen[:, :1])], 1), wanted, driver="gelsy").solution
    projection.weight.copy_(solution[:-1].T)
    projection.bias.copy_(solution[-1])
