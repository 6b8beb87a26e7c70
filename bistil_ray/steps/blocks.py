"""Batches of blocks for phase 1 and for pre-training: one language a batch, corrupted, cut into micro-batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..data.masking import MaskingVocabulary, corrupt
from ..data.order import Turns, chunks_from, count_blocks, read_chunk
from ..storage import read_result
from ..train.memory import micro_batches
from ..train.phase import Batch
from ..train.seeds import mix
from .context import Context
from .pack import block_files

EXAMINED_BLOCKS = 256


@dataclass(frozen=True)
class BlockStream:
    """A seeded, endless stream of batches over several languages, each batch of one (which one: ``language``).

    Every round of len(files) steps visits each language once, in a seeded order. Step s is the same batch with the same
    corruption whatever happened before and however many ranks share it: rank r takes every world_size-th row.
    """

    files: Sequence[Sequence[str]]
    batch_size: int
    micro_batches: int
    mask: float
    vocabulary: MaskingVocabulary
    seed: int

    def batches(self, context: Context, start: int, stop: int) -> Iterator[list[Batch]]:
        """Iterate over the batches of steps ``start`` to ``stop``."""
        turns = Turns(len(self.files), self.seed)
        streams = []
        for index, files in enumerate(self.files):
            seen, end = turns.before(start, index), turns.before(stop, index)
            chunks = chunks_from(files, mix(self.seed, index), seen * self.batch_size, (end - seen) * self.batch_size)
            streams.append(context.blocks(chunks, self.batch_size))
        for step in range(start, stop):
            context.take_turn(step)
            language = turns.at(step)
            ids = torch.from_numpy(next(streams[language]).astype(np.int64))
            yield self._prepare(ids, language, step, context)

    def _prepare(self, ids: torch.Tensor, language: int, step: int, context: Context) -> list[Batch]:
        generator = torch.Generator().manual_seed(mix(self.seed, 1, step))
        inputs, labels = corrupt(ids, self.vocabulary, self.mask, generator)
        mine = slice(context.rank, None, context.world_size)
        inputs, labels = inputs[mine], labels[mine]
        rows = {
            "input_ids": inputs,
            "attention_mask": torch.ones_like(inputs),
            "labels": labels,
            "language": torch.full((len(inputs),), language),
        }
        return micro_batches(rows, self.micro_batches)


def training_files(pack: Path) -> tuple[list[str], ...]:
    """List the block files of a finished pack, language by language."""
    return tuple(block_files(pack, "blocks", lang) for lang in read_result(pack)["languages"])


def held_out_blocks(pack: Path, lang: str, most: int = EXAMINED_BLOCKS) -> np.ndarray:
    """Read at most ``most`` held-out blocks of a language, a seeded sample in a fixed order."""
    files = block_files(pack, "held_out", lang)
    return first_blocks(files, min(most, count_blocks(files)), seed=0)


def a_block(pack: Path, lang: str) -> Tensor:
    """Read one held-out block of a language, int64 (1, T), to try a model on."""
    return torch.from_numpy(held_out_blocks(pack, lang, most=1).astype(np.int64))


def first_blocks(files: Sequence[str], number: int, seed: int) -> np.ndarray:
    """Read the first blocks of the endless stream over ``files``, int32 (number, T)."""
    rows = (row for chunk in chunks_from(files, seed, 0, number) for row in read_chunk(chunk))
    return np.stack(list(islice(rows, number)))
