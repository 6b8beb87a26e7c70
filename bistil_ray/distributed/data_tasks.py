"""What Ray Data's worker processes run: kept free of torch, so that they start fast and stay small."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import numpy as np

from ..data.order import read_chunk

# These pickles never leave the cluster: they carry our own objects between our own processes.


def apply(function: Callable[[Any], Any], row: dict[str, Any]) -> dict[str, Any]:
    """Apply ``function`` to the item of a row, which keeps its index."""
    return {"index": row["index"], "product": pickle.dumps(function(pickle.loads(row["item"])))}


def read(batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Read the blocks of a batch of chunks."""
    return {"ids": np.concatenate([read_chunk(pickle.loads(chunk)) for chunk in batch["chunk"]])}
