"""Batches of plain text among the labelled ones of phase 2, in the target language, which has no labels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from transformers import PreTrainedTokenizerFast

from ..data.masking import MaskingVocabulary
from ..train.loop import Batch
from ..train.objectives import PLAIN
from .blocks import BlockStream
from .context import Context, Job
from .labelled import LabelledStream
from .pack import block_files


@dataclass(frozen=True)
class MixedStream:
    """An endless, seeded stream in which about ``share`` of the labelled batches give way to batches of text.

    Step s is the same batch whatever happened before. ``language`` is the number that the batches of text have.
    """

    labelled: LabelledStream
    text: BlockStream
    share: float
    language: int

    def steps(self, epochs: float) -> int:
        """Optimiser steps: as many as ``epochs`` passes over the examples would take."""
        return self.labelled.steps(epochs)

    def batches(self, context: Context, start: int, stop: int) -> Iterator[list[Batch]]:
        """Iterate over the batches of steps ``start`` to ``stop``."""
        is_text = np.random.default_rng((self.text.seed, 2)).random(stop) < self.share
        texts = int(is_text[:start].sum()), int(is_text.sum())
        examples = self.labelled.batches(context, start - texts[0], stop - texts[1])
        blocks = self.text.batches(context, *texts)
        for step in range(start, stop):
            yield [self._unlabelled(micro) for micro in next(blocks)] if is_text[step] else next(examples)

    def _unlabelled(self, micro: Batch) -> Batch:
        everywhere = torch.zeros_like(micro["input_ids"])  # any label: what counts is that there is a decision
        rows = everywhere[:, 0]
        return {**micro, "labels": everywhere, "language": rows + self.language, PLAIN: rows}


def with_text(job: Job, labelled: LabelledStream, tokenizer: PreTrainedTokenizerFast, language: int) -> MixedStream:
    """Mix text of the step's target language, from its pack, into a stream; a batch of it has as many tokens."""
    settings = job.settings
    rows = max(1, round(labelled.tokens_per_batch / settings["block_length"]))
    text = BlockStream(
        files=[block_files(job.needs["pack"], "blocks", settings["lang"])],
        batch_size=rows,
        micro_batches=job.runtime.get("accumulation", 1),
        mask=0.0,
        vocabulary=MaskingVocabulary.from_tokenizer(tokenizer),
        seed=settings["seed"],
    )
    return MixedStream(labelled, text, settings["text_share"], language)
