"""Batches of predictions that several teachers have made, in a student's ids: one language, and teacher, a batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch

from ..data.masking import IGNORED
from ..data.order import Turns, chunks_from
from ..teachers.predictions import Predictions, read_predictions
from ..train.memory import micro_batches
from ..train.phase import Batch
from ..train.seeds import mix
from .context import Context


@dataclass(frozen=True)
class PredictionStream:
    """A seeded, endless stream of batches over several languages, as ``BlockStream``, whose masking is done already.

    ``files`` are those of each language's predictions, ``maps`` the student's id of each of its teacher's ids.
    """

    files: Sequence[Sequence[str]]
    maps: Sequence[np.ndarray]
    batch_size: int
    micro_batches: int
    seed: int

    def batches(self, context: Context, start: int, stop: int) -> Iterator[list[Batch]]:
        """Iterate over the batches of steps ``start`` to ``stop``; a row group of each language is held in memory."""
        turns = Turns(len(self.files), self.seed)
        streams = [
            self._blocks(index, turns.before(start, index), turns.before(stop, index))
            for index in range(len(self.files))
        ]
        for step in range(start, stop):
            language = turns.at(step)
            blocks = list(islice(streams[language], self.batch_size))
            batch = to_batch(blocks, self.maps[language])
            mine = {name: values[context.rank :: context.world_size] for name, values in batch.items()}
            yield micro_batches(mine, self.micro_batches)

    def _blocks(self, language: int, seen: int, end: int) -> Iterator[Predictions]:
        size = self.batch_size
        chunks = chunks_from(self.files[language], mix(self.seed, language), seen * size, (end - seen) * size)
        return (block for chunk in chunks for block in read_predictions(chunk))


def to_batch(blocks: Sequence[Predictions], ids: np.ndarray) -> Batch:
    """Put blocks together as tensors (BT) and (BTK), their ids replaced by ``ids[...]``."""
    inputs_BT, labels_BT, known_MK, scores_MK, _ = (np.concatenate(parts) for parts in zip(*blocks, strict=True))
    chosen_BT = labels_BT != IGNORED
    gold_BT = np.full(chosen_BT.shape, IGNORED, dtype=np.int64)
    known_BTK = np.zeros((*chosen_BT.shape, known_MK.shape[1]), dtype=np.int64)
    scores_BTK = np.zeros(known_BTK.shape, dtype=np.float32)
    gold_BT[chosen_BT] = ids[labels_BT[chosen_BT]]
    known_BTK[chosen_BT], scores_BTK[chosen_BT] = ids[known_MK], scores_MK
    arrays = {
        "input_ids": ids[inputs_BT],
        "attention_mask": np.ones_like(inputs_BT, dtype=np.int64),
        "labels": gold_BT,
        "teacher_ids": known_BTK,
        "teacher_log_probabilities": scores_BTK,
    }
    return {name: torch.from_numpy(values) for name, values in arrays.items()}
