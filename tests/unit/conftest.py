"""Tiny tokenizers made in memory."""

from __future__ import annotations

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
from transformers import BertTokenizer, PreTrainedTokenizerFast

PIECES = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    "ina",
    "##waƙa",
    "wa",
    "##ƙa",
    "ọmọ",
    "##de",
    "ń",
    "kọ",
    ".",
    ",",
]


@pytest.fixture
def tokenizer() -> PreTrainedTokenizerFast:
    """A WordPiece tokenizer of 15 pieces."""
    return BertTokenizer(vocab={piece: index for index, piece in enumerate(PIECES)}, do_lower_case=False)


@pytest.fixture
def byte_level_tokenizer() -> PreTrainedTokenizerFast:
    """A byte-level BPE that, as RoBERTa's, puts no space before a text."""
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=["<s>", "<pad>", "</s>", "<mask>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(["hello world and the other world"] * 9, trainer)
    backend.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    named = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "mask_token": "<mask>"}
    return PreTrainedTokenizerFast(tokenizer_object=backend, **named)
