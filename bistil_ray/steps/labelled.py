"""Labelled data in a step: read, encoded, and in batches: grouped by length, shuffled by epoch, split over ranks."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from ..data.batches import Features, epoch_batches, length_of, pad_batch
from ..data.examples import Examples, counted
from ..models.language_tokenizers import tokenizer_for
from ..tasks.registry import TASKS
from ..tasks.task import Task, read_labelled
from ..train.phase import Batch
from .context import Context, Job

log = logging.getLogger(__name__)
MULTIPLE = 8
"""Lengths of batches are multiples of this, so that there are few: PyTorch on a CPU keeps in bf16 what it prepares for
each shape it meets, hundreds of megabytes in a fine-tuning."""


def task_of(job: Job) -> Task:
    """Give the task of a step."""
    return TASKS[job.settings["task"]]


def labelled_examples(job: Job, name: str) -> Examples:
    """Read the labelled examples of input ``name``, the run's label map applied; say which rows are of no use."""
    task, settings = task_of(job), job.settings
    examples = read_labelled(task, job.inputs[name])
    if examples.skipped:
        log.warning("left out of %s: %s", examples.uri, counted(examples.skipped))
    return task.relabel(examples, settings["label_map"], settings["labels"])


def training_stream(job: Job, model: str | Path, labels: Sequence[str]) -> LabelledStream:
    """Make the stream of a step's training data, in the languages ``sources`` of its settings.

    ``model`` is the folder whose tokenizers split it; they have one padding id.
    """
    settings = job.settings
    tokenizers = {lang: tokenizer_for(model, lang) for lang in settings["sources"]}
    features = [
        task_of(job).encode(labelled_examples(job, f"train-{lang}"), tokenizer, labels, settings["max_length"])
        for lang, tokenizer in tokenizers.items()
    ]
    return LabelledStream(
        features,
        int(tokenizers[settings["source"]].pad_token_id),
        settings["batch_size"],
        job.micro_batches,
        settings["seed"],
    )


class LabelledStream:
    """An endless, seeded stream of batches of one language each; step s is the same batch whatever happened before."""

    def __init__(
        self, features: Sequence[Sequence[Features]], pad_id: int, batch_size: int, micro_batches: int, seed: int
    ) -> None:
        """Take the features of each language; a batch says by ``language`` which of them it is from."""
        self._features = features
        self._lengths = [[length_of(row) for row in rows] for rows in features]
        self._pad, self._batch_size, self._micro_batches, self._seed = pad_id, batch_size, micro_batches, seed

    @cached_property
    def _per_epoch(self) -> int:
        return sum(math.ceil(len(rows) / self._batch_size) for rows in self._features)

    @property
    def tokens_per_batch(self) -> float:
        """Tokens that a batch has on average."""
        return sum(map(sum, self._lengths)) / self._per_epoch

    def steps(self, epochs: float) -> int:
        """Optimiser steps that ``epochs`` passes over the examples take, at least one."""
        return max(1, round(epochs * self._per_epoch))

    def batches(self, context: Context, start: int, stop: int) -> Iterator[list[Batch]]:
        """Iterate over the batches of steps ``start`` to ``stop``; rank r takes every world_size-th example."""
        order: list[tuple[int, list[int]]] = []
        for step in range(start, stop):
            epoch, place = divmod(step, self._per_epoch)
            if not order or place == 0:
                order = self._epoch(epoch)
            language, indices = order[place]
            yield self._prepare(language, indices, context)

    def _epoch(self, epoch: int) -> list[tuple[int, list[int]]]:
        batches = [
            (language, indices)
            for language, lengths in enumerate(self._lengths)
            for indices in epoch_batches(lengths, self._batch_size, self._seed, epoch)
        ]
        if len(self._lengths) == 1:
            return batches
        shuffled = np.random.default_rng((self._seed, epoch, 1)).permutation(len(batches))
        return [batches[index] for index in shuffled]

    def _prepare(self, language: int, indices: list[int], context: Context) -> list[Batch]:
        mine = indices[context.rank :: context.world_size]
        size = max(1, math.ceil(len(mine) / self._micro_batches))
        parts = [mine[first : first + size] for first in range(0, len(mine), size)]
        if not parts:  # this rank's share is empty: one micro-batch of the right names and no rows
            (whole,) = self._padded(language, [indices[:1]])
            return [{name: value[:0] for name, value in whole.items()}]
        return self._padded(language, parts)

    def _padded(self, language: int, parts: Sequence[Sequence[int]]) -> list[Batch]:
        features, lengths = self._features[language], self._lengths[language]
        longest = max(lengths)  # which models take: no batch is padded beyond it
        batches = []
        for part in parts:
            length = math.ceil(max(lengths[index] for index in part) / MULTIPLE) * MULTIPLE
            batches.append(pad_batch([features[index] for index in part], self._pad, min(length, longest)))
        return [{**batch, "language": torch.full((len(batch["input_ids"]),), language)} for batch in batches]
