"""Step ``pretrain``: a masked language model from random weights on packed corpora.

Product: ``model/`` with its tokenizer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from transformers import BertConfig, BertForMaskedLM

from ..data.masking import MaskingVocabulary
from ..data.order import chunks_from, read_chunk
from ..models.families import load_tokenizer
from ..models.neighbours import look_at_neighbours
from ..storage import read_result, replacing
from ..train.loop import Phase, mix, run_phase
from ..train.objectives import LabelLearning
from .blocks import BlockStream
from .context import Context, Job
from .examination import Examination
from .pack import block_files


def run(job: Job, context: Context) -> dict[str, Any]:
    """Train a BERT of the wanted shape on every language of the pack, turn by turn."""
    settings = job.settings
    pack = job.needs["pack"]
    tokenizer = load_tokenizer(str(pack / "tokenizer"))
    torch.manual_seed(mix(settings["seed"], 3))
    model = BertForMaskedLM(
        BertConfig(
            vocab_size=len(tokenizer),
            hidden_size=settings["hidden"],
            num_hidden_layers=settings["layers"],
            num_attention_heads=settings["heads"],
            intermediate_size=4 * settings["hidden"],
            max_position_embeddings=max(512, settings["length"]),
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
            pad_token_id=tokenizer.pad_token_id,
        )
    )
    files = tuple(block_files(pack, "blocks", lang) for lang in read_result(pack)["languages"])
    look_at_neighbours(model.bert)
    _start_from_frequencies(model, files)
    model.to(context.device)
    vocabulary = MaskingVocabulary.from_tokenizer(tokenizer)
    stream = BlockStream(
        files=files,
        batch_size=settings["batch_size"],
        micro_batches=job.runtime.get("accumulation", 1),
        mask=settings["mask"],
        vocabulary=vocabulary,
        seed=settings["seed"],
    )
    examine = Examination(model, pack, vocabulary, settings, context)
    progress = run_phase(
        LabelLearning(model, "mlm"),
        Phase.from_settings(settings, job.runtime, settings["steps"]),
        lambda start: stream.batches(context, start, settings["steps"]),
        checkpoints=job.folder / "checkpoints",
        report=context.report,
        after_step=examine,
        writes=context.rank == 0,
    )
    if context.rank == 0:
        with replacing(job.folder / "model") as folder:
            model.save_pretrained(folder)
            tokenizer.save_pretrained(folder)
    return {
        "model": "model",
        "bits_per_character": examine.measured or examine.measure(),
        "tokens": progress.tokens,
        "seconds": progress.seconds,
        "loss": progress.terms,
    }


def _start_from_frequencies(model: BertForMaskedLM, files: Sequence[Sequence[str]]) -> None:
    """Set the output bias to the tokens' log frequencies in a sample: training starts where it would stand after a while."""
    counts = np.full(model.config.vocab_size, 0.5)
    for language in files:
        for chunk in chunks_from(language, 0, 0, 1):
            counts += np.bincount(read_chunk(chunk).ravel(), minlength=len(counts))
    with torch.no_grad():
        model.cls.predictions.bias.copy_(torch.from_numpy(np.log(counts / counts.sum())))
