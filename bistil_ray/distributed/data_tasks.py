"""What Ray Data's worker processes run: kept free of torch, so that they start fast and stay small."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import numpy as np

from ..data.order import read_chunk
from ..errors import BistilError

# These pickles never leave the cluster: they carry our own objects between our own processes.


def apply(function: Callable[[Any], Any], row: dict[str, Any]) -> dict[str, Any]:
    """Apply ``function`` to the item of a row, which keeps its index; a user's mistake is handed over as the product.

    Raised here it would reach the user buried in Ray Data's own words.
    """
    try:
        product = function(pickle.loads(row["item"]))
    except BistilError as mistake:
        product = mistake
    return {"index": row["index"], "product": pickle.dumps(product)}


def read(batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Read the blocks of a batch of chunks."""
    return {"ids": np.concatenate([read_chunk(pickle.loads(chunk)) for chunk in batch["chunk"]])}
