"""An SFT made on the whole vocabulary, for a model that keeps a part of it."""

from __future__ import annotations

import math
from collections.abc import Collection

import numpy as np
import torch
from torch import Tensor

from ..errors import ModelError
from ..vocab.trim import id_table
from .delta import SparseDelta


def cut_rows(delta: SparseDelta, kept: np.ndarray, names: Collection[str]) -> SparseDelta:
    """Keep only the rows ``kept`` (ascending) of the parameters ``names``, as ``cut_vocabulary`` does to a model.

    Row i of each becomes what row ``kept[i]`` was; what the SFT changes in other rows is left out, and parameters that
    it does not change are passed over. ModelError for rows that a parameter does not have.
    """
    indices, values = dict(delta.indices), dict(delta.values)
    shapes, dense = dict(delta.shapes), dict(delta.dense)
    for name in names:
        if name in dense:
            _check_rows(name, len(dense[name]), kept)
            dense[name] = dense[name][torch.from_numpy(kept)]
        if name in indices:
            rows, *rest = shapes[name]
            _check_rows(name, rows, kept)
            index, chosen = _renumbered(indices[name], torch.from_numpy(id_table(kept, rows)), math.prod(rest))
            if not len(index):
                del indices[name], values[name], shapes[name]
                continue
            indices[name], values[name], shapes[name] = index, values[name][chosen], (len(kept), *rest)
    return SparseDelta(indices, values, shapes, dense, delta.meta)


def _renumbered(index: Tensor, new_row: Tensor, width: int) -> tuple[Tensor, Tensor]:
    """Give the new flat indices of the entries in rows that stay, and which entries those are."""
    row = new_row[index // width]
    stays = row >= 0
    return (row * width + index % width)[stays], stays


def _check_rows(name: str, rows: int, kept: np.ndarray) -> None:
    if len(kept) and kept[-1] >= rows:
        raise ModelError(f"the SFT's {name} has {rows} rows, so row {kept[-1]} cannot be kept")
