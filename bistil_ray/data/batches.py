"""Features of labelled examples as batches: grouped by length, shuffled by epoch, padded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from .masking import IGNORED

Features = Mapping[str, int | list[int]]
"""One example for a model: ``input_ids`` (a list), and by name further lists and single numbers."""
Batch = Mapping[str, Tensor]

BY_TOKEN = ("input_ids", "attention_mask", "token_type_ids", "labels")
"""Fields whose lists, where they are lists, have an entry for each token; others may have as many by chance."""
# Examples are sorted by length among so many batches.
_POOL_BATCHES = 32


def pad_batch(features: Sequence[Features], pad_id: int, length: int = 0) -> dict[str, Tensor]:
    """Make a batch: a list becomes a row of an int64 tensor (B, longest), a number an element of one of (B,).

    ``attention_mask`` is added. Ids are padded with ``pad_id``, token types with 0, everything else with ``IGNORED``.
    Rows of the fields ``BY_TOKEN`` are at least ``length`` long.
    """
    fillers = {"input_ids": pad_id, "token_type_ids": 0, "attention_mask": 0}
    rows = [{**row, "attention_mask": [1] * length_of(row)} for row in features]
    return {
        name: _stacked([row[name] for row in rows], fillers.get(name, IGNORED), least=length if name in BY_TOKEN else 0)
        for name in rows[0]
    }


def length_of(features: Features) -> int:
    """Give the number of tokens."""
    ids = features["input_ids"]
    assert isinstance(ids, list)
    return len(ids)


def epoch_batches(lengths: Sequence[int], batch_size: int, seed: int, epoch: int) -> list[list[int]]:
    """Order one epoch: every index once, in batches of similar lengths, shuffled by ``seed`` and ``epoch``.

    All batches are of ``batch_size`` but for one where the numbers do not divide. Sentences are shuffled,
    sorted by length within pools, cut into batches, and the batches shuffled.
    """
    random = np.random.default_rng((seed, epoch))
    order = random.permutation(len(lengths)).tolist()
    batches: list[list[int]] = []
    for start in range(0, len(order), _POOL_BATCHES * batch_size):
        pool = sorted(order[start : start + _POOL_BATCHES * batch_size], key=lengths.__getitem__)
        batches += [pool[first : first + batch_size] for first in range(0, len(pool), batch_size)]
    return [batches[index] for index in random.permutation(len(batches))]


def _stacked(values: Sequence[int | list[int]], filler: int, least: int) -> Tensor:
    lists = [value for value in values if isinstance(value, list)]
    if not lists:
        return torch.tensor(values, dtype=torch.int64)
    stacked = torch.full((len(lists), max(least, *map(len, lists))), filler)
    for row, value in zip(stacked, lists, strict=True):
        row[: len(value)] = torch.tensor(value, dtype=torch.int64)
    return stacked
