"""A BERT that starts from chance."""

from __future__ import annotations

from transformers import BertConfig, BertForMaskedLM

from .neighbours import look_at_neighbours

POSITIONS = 512
"""Longest text that it reads, unless it learns from longer ones."""


def bert_from_chance(tokens: int, hidden: int, layers: int, heads: int, length: int, pad_id: int) -> BertForMaskedLM:
    """A masked language model for texts of ``length`` tokens, without dropout, its weights random (by torch's seed)."""
    config = BertConfig(
        vocab_size=tokens,
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=4 * hidden,
        max_position_embeddings=max(POSITIONS, length),
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        pad_token_id=pad_id,
    )
    model = BertForMaskedLM(config)
    look_at_neighbours(model.bert)
    return model
