"""A student of several teachers: a body, and a row of the embedding table for every token that any of them has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from ..vocab.union import Union
from .families import family_of
from .from_chance import bert_from_chance
from .layers import layer_map
from .student import build_student, take_vocabulary


class TokenRows(NamedTuple):
    """What a model holds of each of its tokens: a row of the embeddings and an entry of the output bias."""

    embeddings_VD: Tensor
    bias_V: Tensor


def token_rows(model: PreTrainedModel, tokens: int) -> TokenRows:
    """Copy the rows of a masked language model's first ``tokens`` ids; a model without an output bias has one of 0."""
    embeddings: Any = model.get_input_embeddings()
    biases = [value for value in family_of(model.config).vocabulary_parameters(model) if value.dim() == 1]
    bias_V = biases[0] if biases else embeddings.weight.new_zeros(len(embeddings.weight))
    return TokenRows(embeddings.weight.detach()[:tokens].clone(), bias_V.detach()[:tokens].clone())


def merge_rows(teachers: Sequence[TokenRows], union: Union, width: int) -> TokenRows:
    """Give the student's rows, ``width`` units wide: for each token the mean of those of the teachers that have it.

    The first teacher's space is the student's; every other's is turned to lie near the rows of the tokens that both
    have, for a mean of vectors from two spaces says nothing about either.
    """
    tables: list[Tensor] = []
    for teacher, ids in zip(teachers, union.maps, strict=True):
        table_VW = to_width(teacher.embeddings_VD.float(), width)
        tables.append(_turned(table_VW, ids, tables[0], union.maps[0]) if tables else table_VW)
    biases = [teacher.bias_V.float()[:, None] for teacher in teachers]
    return TokenRows(_mean(tables, union), _mean(biases, union)[:, 0])


def to_width(table_VD: Tensor, width: int) -> Tensor:
    """Give a table (V, width): projected on its first right singular vectors where wider, else with units of 0."""
    units = table_VD.shape[1]
    if units <= width:
        return nn.functional.pad(table_VD, (0, width - units))
    # The eigenvectors of the small D x D matrix are the singular vectors of the large table.
    directions_DW = torch.linalg.eigh(table_VD.double().T @ table_VD.double()).eigenvectors[:, -width:].flip(1)
    return table_VD @ directions_DW.float()


def student_from_chance(rows: TokenRows, layers: int, heads: int, length: int, pad_id: int) -> PreTrainedModel:
    """A BERT for texts of ``length`` tokens, as wide as ``rows``, whose body is random (by torch's seed)."""
    tokens, width = rows.embeddings_VD.shape
    return _with_rows(bert_from_chance(tokens, width, layers, heads, length, pad_id), rows)


def student_from_teacher(rows: TokenRows, teacher: PreTrainedModel, tokens: int, layers: int) -> PreTrainedModel:
    """A student with every n-th layer of a teacher, whose first ``tokens`` ids are the student's as well."""
    mapping = layer_map(teacher.config.num_hidden_layers, layers)
    student = build_student(teacher, family_of(teacher.config).fitting_layers(mapping))
    take_vocabulary(student, np.r_[np.arange(tokens), np.zeros(len(rows.bias_V) - tokens, dtype=np.int64)])
    return _with_rows(student, rows)


@torch.no_grad()
def _with_rows(student: PreTrainedModel, rows: TokenRows) -> PreTrainedModel:
    """Put the rows in, and tie the head to them."""
    family = family_of(student.config)
    embeddings: Any = student.get_input_embeddings()
    output = family.output(student)
    if output is not None:
        output.weight = embeddings.weight
        student.config.tie_word_embeddings = True
    for parameter in family.vocabulary_parameters(student):
        parameter.copy_(rows.bias_V if parameter.dim() == 1 else rows.embeddings_VD)
    return student


def _turned(table_VW: Tensor, ids: np.ndarray, towards_UW: Tensor, their_ids: np.ndarray) -> Tensor:
    """A table in the orthonormal basis in which its rows of shared tokens lie nearest to theirs (Procrustes)."""
    _, mine, theirs = np.intersect1d(ids, their_ids, return_indices=True)
    common_WW = table_VW[mine].double().T @ towards_UW[theirs].double()
    left, _, right = torch.linalg.svd(common_WW)
    return table_VW @ (left @ right).float()


def _mean(tables: Sequence[Tensor], union: Union) -> Tensor:
    total = tables[0].new_zeros(union.size, tables[0].shape[1])
    having = tables[0].new_zeros(union.size, 1)
    for table, ids in zip(tables, union.maps, strict=True):
        total.index_add_(0, torch.from_numpy(ids), table)
        having[ids] += 1
    return total / having
