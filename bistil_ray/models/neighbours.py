"""A starting point for small encoders: some heads of the first layers look at neighbouring positions.

Trained from random weights on little text, a small masked language model can stay for thousands of steps at the loss
of one that ignores the context, because attention to position has to be found first. Here positions start as sines
and cosines, and query and key weights of the first layers start so that each head looks a fixed number of places to
the left or right. All of it is trained like any other weight.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from transformers import BertModel

OFFSETS = (-1, 1, -2, 2, -3, 3, 0)
"""Where the heads look, in places from their own; heads beyond these start at random."""
LAYERS = 2
POSITION_SIZE = 0.04
"""Amplitude of the position vectors, twice the deviation of BERT's random embeddings."""
SHARPNESS = 8.0
"""Attention score of the place looked at, before the softmax."""


@torch.no_grad()
def look_at_neighbours(encoder: BertModel) -> None:
    """Set position vectors, and queries and keys of the first layers' heads, in place.

    With position vectors of sines and cosines of n frequencies w, queries turned by the offset d times w and keys as
    they are, the score of positions i and j is proportional to the sum of cos(w (i + d - j)), largest at j = i + d.
    """
    config = encoder.config
    size = config.hidden_size // config.num_attention_heads
    pairs = min(size, config.hidden_size // 2) // 2
    frequencies = torch.exp(torch.linspace(math.log(math.pi / 2), math.log(math.pi / 100), pairs))
    places = torch.arange(config.max_position_embeddings)[:, None] * frequencies
    positions = encoder.embeddings.position_embeddings.weight
    positions[:, -2 * pairs :] = POSITION_SIZE * torch.cat([places.sin(), places.cos()], dim=1)
    # Layer normalisation scales a vector to length sqrt(D): this is what becomes of the amplitude, nearly.
    others = 2 * config.initializer_range**2 * config.hidden_size
    length = math.sqrt(others + pairs * POSITION_SIZE**2)
    amplitude = POSITION_SIZE * math.sqrt(config.hidden_size) / length
    scale = math.sqrt(SHARPNESS * math.sqrt(size) / pairs) / amplitude
    for layer in encoder.encoder.layer[:LAYERS]:
        attention = layer.attention.self
        for head, offset in zip(range(config.num_attention_heads), OFFSETS, strict=False):
            rows = slice(head * size, head * size + 2 * pairs)
            attention.query.weight[rows, -2 * pairs :] = scale * _turned(frequencies * offset)
            attention.key.weight[rows, -2 * pairs :] = scale * torch.eye(2 * pairs)


def _turned(angles: Tensor) -> Tensor:
    """The matrix that turns each (sine, cosine) pair by its angle: sin(x + a) and cos(x + a) from sin x and cos x."""
    cosine, sine = torch.diag(angles.cos()), torch.diag(angles.sin())
    return torch.cat([torch.cat([cosine, sine], dim=1), torch.cat([-sine, cosine], dim=1)])
