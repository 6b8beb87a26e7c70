"""Batches of labelled sentences for the task phases: grouped by length, shuffled by epoch, split over ranks."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cached_property

from transformers import PreTrainedTokenizerFast

from ..data.tasks import TaggedSentences, encode_tagged, epoch_batches, pad_batch
from ..train.loop import Batch
from .context import Context


class SentenceStream:
    """An endless, seeded stream of batches of sentences; step s is the same batch whatever happened before."""

    def __init__(
        self,
        sentences: TaggedSentences,
        tokenizer: PreTrainedTokenizerFast,
        labels: tuple[str, ...],
        max_length: int,
        batch_size: int,
        micro_batches: int,
        seed: int,
    ) -> None:
        """Encode the sentences with ``tokenizer``; labels sit on first sub-words."""
        self._encoded = encode_tagged(tokenizer, sentences, labels, max_length)
        self._pad = int(tokenizer.pad_token_id)
        self._batch_size, self._micro_batches, self._seed = batch_size, micro_batches, seed

    @cached_property
    def _per_epoch(self) -> int:
        return math.ceil(len(self._encoded.input_ids) / self._batch_size)

    def steps(self, epochs: float) -> int:
        """Optimiser steps that ``epochs`` passes over the sentences take, at least one."""
        return max(1, round(epochs * self._per_epoch))

    def batches(self, context: Context, start: int, stop: int) -> Iterator[list[Batch]]:
        """Iterate over the batches of steps ``start`` to ``stop``; rank r takes every world_size-th sentence."""
        lengths = [len(ids) for ids in self._encoded.input_ids]
        order: list[list[int]] = []
        for step in range(start, stop):
            epoch, place = divmod(step, self._per_epoch)
            if not order or place == 0:
                order = epoch_batches(lengths, self._batch_size, self._seed, epoch)
            mine = order[place][context.rank :: context.world_size]
            size = max(1, math.ceil(len(mine) / self._micro_batches))
            firsts = range(0, max(1, len(mine)), size)  # at least one micro-batch, even if this rank's share is empty
            yield [pad_batch(self._encoded, mine[first : first + size], self._pad) for first in firsts]
