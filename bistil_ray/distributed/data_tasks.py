"""What processes of Ray run for a step beside its own: kept free of torch, so that they start fast and stay small."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import TypeVar

import numpy as np

from ..data.order import read_chunk
from ..errors import BistilError

Item = TypeVar("Item")
Product = TypeVar("Product")
# These pickles never leave the cluster: they carry our own objects between our own processes.


def apply(function: Callable[[Item], Product], item: Item) -> Product | BistilError:
    """Apply ``function`` to an item; a user's mistake is handed over as the product.

    Raised here it would reach the user buried in Ray's own words.
    """
    try:
        return function(item)
    except BistilError as mistake:
        return mistake


def read(batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Read the blocks of a batch of chunks."""
    return {"ids": np.concatenate([read_chunk(pickle.loads(chunk)) for chunk in batch["chunk"]])}
