"""Step ``pretrain``: a masked language model from random weights on packed corpora.

Product: ``model/`` with its tokenizer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from transformers import BertConfig, BertForMaskedLM

from ..data.order import chunks_from, read_chunk
from ..models.loading import load_tokenizer
from ..models.neighbours import look_at_neighbours
from ..train.masked_lm import MaskedLanguageModelling
from ..train.seeds import mix
from .blocks import training_files
from .context import Context, Job
from .on_text import train_on_text


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
    look_at_neighbours(model.bert)
    _start_from_frequencies(model, training_files(pack))
    model.to(context.device)
    return train_on_text(job, context, MaskedLanguageModelling(model), model, tokenizer, settings["mask"], "model")


def _start_from_frequencies(model: BertForMaskedLM, files: Sequence[Sequence[str]]) -> None:
    """Set the output bias to the tokens' log frequencies in a sample: training would find them first anyway."""
    counts = np.full(model.config.vocab_size, 0.5)
    for language in files:
        for chunk in chunks_from(language, 0, 0, 1):
            counts += np.bincount(read_chunk(chunk).ravel(), minlength=len(counts))
    with torch.no_grad():
        model.cls.predictions.bias.copy_(torch.from_numpy(np.log(counts / counts.sum())))
