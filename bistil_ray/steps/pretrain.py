"""Step ``pretrain``: a masked language model trained on packed corpora, from random weights or on from a given one.

Product: ``model/`` with its tokenizer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from transformers import BertForMaskedLM

from ..data.order import chunks_from, read_chunk
from ..models.from_chance import bert_from_chance
from ..models.loading import load_masked_lm, load_tokenizer
from ..train.masked_lm import MaskedLanguageModelling
from ..train.seeds import mix
from .blocks import training_files
from .context import Context, Job
from .on_text import train_on_text


def run(job: Job, context: Context) -> dict[str, Any]:
    """Train the given model, or a BERT of the wanted shape, on every language of the pack, turn by turn."""
    settings = job.settings
    tokenizer = load_tokenizer(job.needs["pack"] / "tokenizer")
    torch.manual_seed(mix(settings["seed"], 3))
    given = job.inputs.get("model")
    model = load_masked_lm(given).train() if given else _new_model(job, len(tokenizer), tokenizer.pad_token_id)
    model.to(context.device)
    return train_on_text(job, context, MaskedLanguageModelling(model), model, tokenizer, settings["mask"], "model")


def _new_model(job: Job, tokens: int, pad_token_id: int) -> BertForMaskedLM:
    shape = {name: int(job.settings[name]) for name in ("hidden", "layers", "heads", "length")}
    model = bert_from_chance(tokens, **shape, pad_id=pad_token_id)
    _start_from_frequencies(model, training_files(job.needs["pack"]))
    return model


def _start_from_frequencies(model: BertForMaskedLM, files: Sequence[Sequence[str]]) -> None:
    """Set the output bias to the tokens' log frequencies in a sample: training would find them first anyway."""
    counts = np.full(model.config.vocab_size, 0.5)
    for language in files:
        for chunk in chunks_from(language, 0, 0, 1):
            counts += np.bincount(read_chunk(chunk).ravel(), minlength=len(counts))
    with torch.no_grad():
        model.cls.predictions.bias.copy_(torch.from_numpy(np.log(counts / counts.sum())))
