"""The cased WordPiece tokenizer of the tiny teachers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
MAX_LENGTH = 128
_SHARED_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_TONE_VOWELS = "àáèéìíòóùúǹńḿ"
_UNDER_DOTS = "ẹọṣ"
_HOOKED = "ɓɗƙƴ"
_OTHERS = "0123456789.,?!:;'’\"-()%\u0300\u0301"
"""Marks among them: a tone on an under-dotted vowel is a combining mark even in NFC."""


def alphabet() -> list[str]:
    """Every character of English, Swahili, Yoruba and Hausa writing, capitals included, in a fixed order."""
    letters = _SHARED_LETTERS + _TONE_VOWELS + _UNDER_DOTS + _HOOKED
    return sorted({*letters, *letters.upper(), *_OTHERS})


def train_tokenizer(corpora_folder: Path, vocab_size: int) -> PreTrainedTokenizerFast:
    """Train a BERT-style cased WordPiece on every ``*.parquet`` of a folder (column ``text``).

    Neither case nor accents are stripped: tone marks and hooked letters are kept. The special tokens take the ids 0 to
    4. The result hangs on the texts and the size alone.
    """
    tokenizer = Tokenizer(models.WordPiece(vocab=_vocabulary(corpora_folder, vocab_size), unk_token="[UNK]"))
    tokenizer.normalizer = _normalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(token, SPECIAL_TOKENS.index(token)) for token in ("[CLS]", "[SEP]")],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=MAX_LENGTH,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    )


def _vocabulary(corpora_folder: Path, vocab_size: int) -> dict[str, int]:
    """Pieces by id.

    The trainer breaks ties by the order in which it meets the inner letters (``##a``), which changes from process to
    process; naming them beforehand, as if they were special tokens, fixes the order and so the result.
    """
    letters = alphabet()
    scratch = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    scratch.normalizer = _normalizer()
    scratch.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(
        vocab_size=vocab_size,
        special_tokens=[*SPECIAL_TOKENS, *(f"##{letter}" for letter in letters)],
        initial_alphabet=letters,
        show_progress=False,
    )
    scratch.train_from_iterator(_texts(corpora_folder), trainer)
    return scratch.get_vocab()


def _normalizer() -> normalizers.Normalizer:
    cleaning = normalizers.BertNormalizer(
        clean_text=True, handle_chinese_chars=True, strip_accents=False, lowercase=False
    )
    return normalizers.Sequence([normalizers.NFC(), cleaning])


def _texts(folder: Path) -> Iterator[str]:
    for file in sorted(folder.glob("*.parquet")):
        yield from pq.read_table(file, columns=["text"]).column("text").to_pylist()
