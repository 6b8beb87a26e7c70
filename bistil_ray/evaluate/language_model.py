"""How well a masked language model knows a text: bits per character."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from transformers import PreTrainedModel

from ..data.masking import IGNORED, MaskingVocabulary, corrupt
from ..errors import DataError
from ..models.logits_at import logits_at

PROBABILITY = 0.15


def bits_per_character(
    model: PreTrainedModel,
    blocks: np.ndarray,
    vocabulary: MaskingVocabulary,
    characters: float,
    pieces: float,
    seed: int = 0,
    batch_size: int = 16,
) -> float:
    """Give the model's bits per character on a text.

    This is a pseudo-likelihood: mean negative log-likelihood (nats) of a masked piece x ``pieces`` / ln 2 /
    ``characters``, where 15 % of the pieces are masked, chosen by ``seed`` alone, and the rest is in view.
    ``blocks`` (N, T) are ids of the text, ``pieces`` its tokens neither special nor unknown, ``characters``
    its length; both may be of a larger text that the blocks are a sample of. Other than a loss it can be
    compared between vocabularies. The model is used in evaluation mode and left in the mode it was in.
    DataError if there is nothing to mask.
    """
    inputs_NT, labels_NT = _masked(torch.from_numpy(blocks.astype(np.int64)), vocabulary, seed)
    chosen_NT = labels_NT != IGNORED
    training = model.training
    model.eval()
    total = 0.0
    for start in range(0, len(inputs_NT), batch_size):
        part = slice(start, start + batch_size)
        labels_M = labels_NT[part][chosen_NT[part]].to(model.device)
        if len(labels_M):
            with torch.inference_mode():
                logits_MV = logits_at(
                    model, {"input_ids": inputs_NT[part].to(model.device)}, chosen_NT[part].to(model.device)
                )
            total += float(functional.cross_entropy(logits_MV.float(), labels_M, reduction="sum"))
    model.train(training)
    return total / int(chosen_NT.sum()) * pieces / math.log(2) / characters


def _masked(ids_NT: Tensor, vocabulary: MaskingVocabulary, seed: int) -> tuple[Tensor, Tensor]:
    if not vocabulary.is_ordinary[ids_NT].any():
        raise DataError("the held-out text has no token to predict: add text or raise packing.held_out")
    generator = torch.Generator().manual_seed(seed)
    while True:  # in a text of a few tokens chance may choose none
        inputs_NT, labels_NT = corrupt(ids_NT, vocabulary, PROBABILITY, generator)
        if (labels_NT != IGNORED).any():
            return inputs_NT, labels_NT
