"""Batches of plain text among the labelled ones of phase 2, in the target language, which has no labels."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from transformers import PreTrainedTokenizerFast

from ..data.order import count_blocks
from ..data.pack import documents_in
from ..train.objectives import PLAIN
from ..train.phase import Batch
from .blocks import first_blocks
from .context import Context, Job
from .labelled import LabelledStream, task_of
from .pack import block_files


@dataclass(frozen=True)
class MixedStream:
    """An endless, seeded stream in which about ``share`` of the labelled batches give way to batches of text.

    Step s is the same batch whatever happened before. ``language`` is the number that the batches of text have.
    """

    labelled: LabelledStream
    text: LabelledStream
    share: float
    language: int
    seed: int

    def batches(self, context: Context, start: int, stop: int) -> Iterator[list[Batch]]:
        """Iterate over the batches of steps ``start`` to ``stop``."""
        is_text = np.random.default_rng((self.seed, 2)).random(stop) < self.share
        texts = int(is_text[:start].sum()), int(is_text.sum())
        examples = self.labelled.batches(context, start - texts[0], stop - texts[1])
        unlabelled = self.text.batches(context, *texts)
        for step in range(start, stop):
            yield [self._marked(micro) for micro in next(unlabelled)] if is_text[step] else next(examples)

    def _marked(self, micro: Batch) -> Batch:
        rows = micro["language"]
        return {**micro, "language": rows + self.language, PLAIN: rows}


def with_text(
    job: Job, labelled: LabelledStream, tokenizer: PreTrainedTokenizerFast, language: int, steps: int
) -> MixedStream:
    """Mix documents of the step's target language, from its pack, into a stream, enough of them for ``steps`` steps.

    They are examples without answers: each alone in its row, batched by length, as many tokens in a batch.
    """
    settings = job.settings
    files = block_files(job.needs["pack"], "blocks", settings["lang"])
    tokens = settings["text_share"] * steps * labelled.tokens_per_batch
    # The stream repeats what it has: a small corpus need not be in memory many times over.
    blocks = min(count_blocks(files), math.ceil(tokens / settings["block_length"]))
    blocks_NT = first_blocks(files, blocks, settings["seed"])
    beginnings = (tokenizer.cls_token_id, tokenizer.bos_token_id)  # one of which the tokenizer puts before a text
    documents = documents_in(blocks_NT, next((marker for marker in beginnings if marker is not None), None))
    text = LabelledStream(
        [[{"input_ids": ids, **task_of(job).asked_about_text(len(ids))} for ids in documents]],
        tokenizer.pad_token_id,
        max(1, round(labelled.tokens_per_batch * len(documents) / blocks_NT.size)),
        job.micro_batches,
        settings["seed"],
    )
    return MixedStream(labelled, text, settings["text_share"], language, settings["seed"])
