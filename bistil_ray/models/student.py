"""A student from a teacher: fewer layers with the teacher's weights, a smaller vocabulary."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel

from ..errors import ModelError
from .families import family_of
from .layers import check_layers


def build_student(teacher: PreTrainedModel, mapping: Sequence[int]) -> PreTrainedModel:
    """A student of the teacher's class with only the layers ``mapping`` of it (from 0), all weights copied.

    Embeddings, pooler and head are the teacher's, and so is what its configuration says of each layer (whether
    it looks near or far); weights tied in the teacher are tied in the student. Dropout is 0 for good, in the
    student's configuration. The student is in training mode, of the teacher's precision and on its device.
    (The published code logs the layer mapping but copies no layer; this is what the paper describes.)

    Raises ModelError unless ``mapping`` is ascending, of the teacher's layers, and fits the family (see
    ``Family.fitting_layers``).
    """
    family = family_of(teacher.config)
    check_layers(teacher.config.num_hidden_layers, len(mapping), mapping)
    if tuple(mapping) != family.fitting_layers(mapping):
        raise ModelError(f"a {family.name} student begins with layer 0 of its teacher, not with {mapping[0]}")
    config = copy.deepcopy(teacher.config)
    config.num_hidden_layers = len(mapping)
    for key in family.layer_keys:
        setattr(config, key, [getattr(config, key)[layer] for layer in mapping])
    for key in family.dropout_keys:
        setattr(config, key, 0.0)
    output = family.output(teacher)
    if output is not None:
        config.tie_word_embeddings = output.weight is teacher.get_input_embeddings().weight

    # Every random starting weight is overwritten below: leave the caller's random numbers as they were.
    with torch.random.fork_rng(devices=[]):
        student: Any = type(teacher)(config)
    if family.has_pooler(student) and not family.has_pooler(teacher):
        family.drop_pooler(student)
    student.to(device=teacher.device, dtype=teacher.dtype)

    layer_name = re.compile(rf"({re.escape(family.parameter_prefix(teacher) + family.layers_at)}\.)(\d+)\.")
    weights = teacher.state_dict()

    def teacher_name(name: str) -> str:
        return layer_name.sub(lambda match: f"{match[1]}{mapping[int(match[2])]}.", name)

    student.load_state_dict({name: weights[teacher_name(name)] for name in student.state_dict()})
    return student


def vocabulary_names(model: PreTrainedModel) -> set[str]:
    """Name the parameters with one row for each token, under all their names."""
    cut = {id(parameter) for parameter in family_of(model.config).vocabulary_parameters(model)}
    return {name for name, value in model.named_parameters(remove_duplicate=False) if id(value) in cut}


def cut_vocabulary(model: PreTrainedModel, kept: np.ndarray) -> PreTrainedModel:
    """Keep only the rows ``kept`` of the vocabulary, in place: row i becomes what row ``kept[i]`` was.

    ``kept`` are the old ids, ascending. Cut are the input embeddings, and where the model has them the output
    embeddings and their bias, tied or not. The ids in the configuration (vocabulary size, pad, ...) follow;
    the id of a special token that is not kept becomes None. Where positions are counted from the pad id, the
    position embeddings move along with it. Works with any head; the result can be saved and loaded. Returns
    the model.

    Raises ModelError if ``kept`` is empty, not ascending, out of range or lacks the pad id.
    """
    config = model.config
    family = family_of(config)
    kept = _checked(kept, config)
    new_id = {int(old): new for new, old in enumerate(kept)}
    old_first = family.first_position(config)

    take_vocabulary(model, kept)
    for key, value in list(vars(config).items()):
        if key.endswith("_token_id") and isinstance(value, int):
            setattr(config, key, new_id.get(value))
    embedding: Any = model.get_input_embeddings()
    embedding.padding_idx = config.pad_token_id
    if family.positions_follow_padding:
        _move_positions(model, old_first - family.first_position(config))
    return model


def take_vocabulary(model: PreTrainedModel, rows: np.ndarray) -> None:
    """Let row i of the vocabulary be what row ``rows[i]`` was, in place; the ids in the configuration stay."""
    family = family_of(model.config)
    embedding: Any = model.get_input_embeddings()
    output = family.output(model)
    _keep_rows(model, family.vocabulary_parameters(model), torch.from_numpy(rows).to(embedding.weight.device))
    embedding.num_embeddings = model.config.vocab_size = len(rows)
    if output is not None:
        output.out_features = len(rows)


def _checked(kept: np.ndarray, config: PreTrainedConfig) -> np.ndarray:
    kept = np.asarray(kept, dtype=np.int64)
    rows = config.vocab_size
    if not len(kept) or kept[0] < 0 or kept[-1] >= rows or (np.diff(kept) <= 0).any():
        raise ModelError(f"the {len(kept)} token ids to keep must be ascending, from 0 to {rows - 1}")
    if config.pad_token_id is not None and config.pad_token_id not in kept:
        raise ModelError(f"the token ids to keep lack the model's pad id {config.pad_token_id}")
    return kept


def _keep_rows(model: nn.Module, parameters: Iterable[Tensor], rows: Tensor) -> None:
    """Replace each of the parameters, wherever it stands, by its chosen rows; what was one stays one."""
    smaller = {
        id(parameter): nn.Parameter(parameter.detach()[rows], requires_grad=parameter.requires_grad)
        for parameter in parameters
    }
    for module in model.modules():
        for name, parameter in list(module.named_parameters(recurse=False, remove_duplicate=False)):
            if id(parameter) in smaller:
                setattr(module, name, smaller[id(parameter)])


def _move_positions(model: PreTrainedModel, shift: int) -> None:
    """Let positions start ``shift`` rows earlier, since the pad id they count from is that much smaller.

    The first rows of the position embeddings, which no token ever gets, fall away: every token keeps the row
    it had.
    """
    config = model.config
    embeddings: Any = family_of(config).embeddings(model)
    table = embeddings.position_embeddings
    embeddings.padding_idx = config.pad_token_id
    table.padding_idx = config.pad_token_id
    if shift == 0:
        return
    rows = torch.arange(shift, table.num_embeddings, device=table.weight.device)
    _keep_rows(embeddings, [table.weight], rows)
    table.num_embeddings = config.max_position_embeddings = len(rows)
    embeddings.position_ids = embeddings.position_ids[:, : len(rows)]
    embeddings.token_type_ids = embeddings.token_type_ids[:, : len(rows)]
