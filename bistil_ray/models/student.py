"""A student from a teacher: fewer layers with the teacher's weights, a smaller vocabulary."""

from __future__ import annotations

import copy
import re
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel

from bistil_ray.errors import ModelError
from bistil_ray.models.families import check_layers, family_of

LAYER_CHOICES = ("regular", "bottom")


def layer_map(teacher_layers: int, student_layers: int, choice: str = "regular") -> tuple[int, ...]:
    """The teacher's layer (from 0) that each layer of the student is copied from.

    "regular" takes the last of each group of f = teacher / student layers, as BISTIL does; "bottom" the first
    ones. ModelError if the layer counts do not divide, or for another choice.
    """
    check_layers(teacher_layers, student_layers)
    if choice == "bottom":
        return tuple(range(student_layers))
    if choice == "regular":
        factor = teacher_layers // student_layers
        return tuple((layer + 1) * factor - 1 for layer in range(student_layers))
    raise ModelError(f"unknown choice of layers {choice!r}; allowed: {', '.join(LAYER_CHOICES)}")


def build_student(teacher: PreTrainedModel, student_layers: int, choice: str = "regular") -> PreTrainedModel:
    """A student of the teacher's class with ``student_layers`` of its layers, all weights copied.

    Embeddings, pooler and head are the teacher's, layers those of ``layer_map``; weights tied in the teacher
    are tied in the student. Hidden and attention dropout are 0 for good, in the student's configuration. The
    student is in training mode, of the teacher's precision and on its device. (The published code logs the
    layer mapping but copies no layer; this is what the paper describes.)
    """
    family = family_of(teacher.config)
    mapping = layer_map(teacher.config.num_hidden_layers, student_layers, choice)
    config = copy.deepcopy(teacher.config)
    config.num_hidden_layers = student_layers
    for key in family.dropout_keys:
        setattr(config, key, 0.0)
    output = teacher.get_output_embeddings()
    if output is not None:
        config.tie_word_embeddings = output.weight is teacher.get_input_embeddings().weight

    # Every random starting weight is overwritten below: leave the caller's random numbers as they were.
    with torch.random.fork_rng(devices=[]):
        student: Any = type(teacher)(config)
    if not family.has_pooler(teacher):
        family.drop_pooler(student)
    student.to(device=teacher.device, dtype=teacher.dtype)

    layer_name = re.compile(rf"({re.escape(family.parameter_prefix(teacher) + family.layers_at)}\.)(\d+)\.")
    weights = teacher.state_dict()

    def teacher_name(name: str) -> str:
        return layer_name.sub(lambda match: f"{match[1]}{mapping[int(match[2])]}.", name)

    student.load_state_dict({name: weights[teacher_name(name)] for name in student.state_dict()})
    return student


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
    kept = _checked(kept, config)
    new_id = {int(old): new for new, old in enumerate(kept)}
    embedding: Any = model.get_input_embeddings()
    output: Any = model.get_output_embeddings()
    old_first = family_of(config).first_position(config)

    _keep_rows(model, _vocabulary_parameters(model), torch.from_numpy(kept).to(embedding.weight.device))
    embedding.num_embeddings = len(kept)
    if output is not None:
        output.out_features = len(kept)

    config.vocab_size = len(kept)
    for key, value in list(vars(config).items()):
        if key.endswith("_token_id") and isinstance(value, int):
            setattr(config, key, new_id.get(value))
    embedding.padding_idx = config.pad_token_id
    if family_of(config).positions_follow_padding:
        _move_positions(model, old_first - family_of(config).first_position(config))
    return model


def _checked(kept: np.ndarray, config: PreTrainedConfig) -> np.ndarray:
    kept = np.asarray(kept, dtype=np.int64)
    rows = config.vocab_size
    if not len(kept) or kept[0] < 0 or kept[-1] >= rows or (np.diff(kept) <= 0).any():
        raise ModelError(f"the {len(kept)} token ids to keep must be ascending, from 0 to {rows - 1}")
    if config.pad_token_id is not None and config.pad_token_id not in kept:
        raise ModelError(f"the token ids to keep lack the model's pad id {config.pad_token_id}")
    return kept


def _vocabulary_parameters(model: PreTrainedModel) -> dict[int, Tensor]:
    """The parameters with one row for each token, by ``id``: each once, however many names it is tied to."""
    embedding: Any = model.get_input_embeddings()
    output: Any = model.get_output_embeddings()
    found: list[Tensor] = [embedding.weight]
    if output is not None:
        # What transformers names as tied includes a bias beside the output layer, there even when untied.
        names = {name for pair in (model._tied_weights_keys or {}).items() for name in pair}
        found += [value for name, value in model.named_parameters(remove_duplicate=False) if name in names]
        found += [value for value in (output.weight, output.bias) if value is not None]
    return {id(parameter): parameter for parameter in found}


def _keep_rows(model: nn.Module, parameters: dict[int, Tensor], rows: Tensor) -> None:
    """Replace each of the parameters, wherever it stands, by its chosen rows; what was one stays one."""
    smaller = {
        key: nn.Parameter(parameter.detach()[rows], requires_grad=parameter.requires_grad)
        for key, parameter in parameters.items()
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
    _keep_rows(embeddings, {id(table.weight): table.weight}, rows)
    table.num_embeddings = config.max_position_embeddings = len(rows)
    embeddings.position_ids = embeddings.position_ids[:, : len(rows)]
    embeddings.token_type_ids = embeddings.token_type_ids[:, : len(rows)]
