"""Tiny tokenizers of every kind the vocabulary cut knows, made in memory."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from tokenizers import (
    AddedToken,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from transformers import (
    BertTokenizer,
    DebertaV2Tokenizer,
    PreTrainedTokenizerFast,
    RobertaTokenizer,
    XLMRobertaTokenizer,
)

TEXTS = [
    "The farmer sings before the night and the children sing along.",
    "Mkulima anaimba kabla ya usiku na watoto wanaimba pamoja naye.",
    "Àgbẹ̀ náà ń kọrin ṣáájú alẹ́, àwọn ọmọdé sì ń kọrin pẹ̀lú rẹ̀.",
    "Manomi yana waƙa kafin dare, yara kuma suna waƙa tare da shi.",
    "Singing farmers, singers singing: naye, waƙa, alẹ́, ọmọdé!",
]
NAMED = {
    "cls_token": "<s>",
    "sep_token": "</s>",
    "pad_token": "<pad>",
    "unk_token": "<unk>",
    "mask_token": "<mask>",
}


def _wordpiece() -> PreTrainedTokenizerFast:
    """A BertTokenizer whose special tokens are not the first ids, nor in the usual order."""
    letters = sorted({letter for text in TEXTS for letter in text if letter != " "})
    pieces = [
        "[unused1]",
        "[PAD]",
        *letters,
        "[UNK]",
        "[SEP]",
        *(f"##{letter}" for letter in letters),
        "[CLS]",
    ]
    pieces += ["the", "farm", "##er", "sing", "##ing", "wa", "##ƙa", "ọmọ", "[MASK]", "night", "##anaimba"]
    return BertTokenizer(vocab={piece: index for index, piece in enumerate(pieces)}, do_lower_case=False)


def _unigram_pieces(first: list[str]) -> list[tuple[str, float]]:
    letters = sorted({letter for text in TEXTS for letter in text if letter != " "})
    pieces = [(letter, -6.0 - index / 100) for index, letter in enumerate(letters)]
    pieces += [
        ("▁", -3.0),
        ("▁sing", -4.0),
        ("ing", -4.5),
        ("er", -4.1),
        ("▁wa", -4.2),
        ("farm", -5.0),
        ("▁ọmọ", -5.5),
    ]
    return [(piece, 0.0) for piece in first] + pieces


def _unigram() -> PreTrainedTokenizerFast:
    backend = Tokenizer(models.Unigram(_unigram_pieces(["<pad>", "junk", "<mask>", "rare", "<unk>", "<s>", "</s>"]), 4))
    backend.normalizer = normalizers.NFC()
    backend.pre_tokenizer = pre_tokenizers.Metaspace()
    backend.decoder = decoders.Metaspace()
    backend.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 5), ("</s>", 6)]
    )
    return PreTrainedTokenizerFast(tokenizer_object=backend, **NAMED)


def _xlmr_with_moved_specials() -> PreTrainedTokenizerFast:
    """A class that fixes the unknown token at id 3, while the cut moves it to another."""
    return XLMRobertaTokenizer(vocab=_unigram_pieces(["<s>", "<pad>", "junk", "<unk>", "</s>", "rare", "<mask>"]))


def _deberta() -> PreTrainedTokenizerFast:
    """A class that keeps the unknown id as a setting, with a mask token outside the model's vocabulary."""
    return DebertaV2Tokenizer(vocab=_unigram_pieces(["[PAD]", "junk", "[CLS]", "[SEP]", "[UNK]"]))


def _trained_bpe(backend: Tokenizer, **settings: object) -> Tokenizer:
    backend.train_from_iterator(TEXTS, trainers.BpeTrainer(vocab_size=420, show_progress=False, **settings))
    return backend


def _byte_level() -> Tokenizer:
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    return _trained_bpe(backend, initial_alphabet=alphabet, special_tokens=["rare", "<pad>", "<s>", "</s>", "<mask>"])


def _byte_bpe() -> PreTrainedTokenizerFast:
    backend = _byte_level()
    ids = backend.get_vocab()
    backend.post_processor = processors.Sequence(
        [
            processors.ByteLevel(trim_offsets=False),
            processors.TemplateProcessing(
                single="<s> $A </s>",
                pair="<s> $A </s> $B </s>",
                special_tokens=[("<s>", ids["<s>"]), ("</s>", ids["</s>"])],
            ),
        ]
    )
    named = {role: token for role, token in NAMED.items() if role != "unk_token"}
    return PreTrainedTokenizerFast(tokenizer_object=backend, **named)


def _roberta() -> PreTrainedTokenizerFast:
    model = json.loads(_byte_level().to_str())["model"]
    vocabulary = {"junk": 0, "<unk>": 1} | {piece: index + 2 for piece, index in model["vocab"].items()}
    return RobertaTokenizer(vocab=vocabulary, merges=[tuple(pair) for pair in model["merges"]])


def _space_bpe() -> PreTrainedTokenizerFast:
    """BPE with a mark for spaces and bytes for unseen characters, as SentencePiece makes them."""
    backend = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    backend.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    backend.decoder = decoders.Metaspace()
    specials = [
        "junk",
        "<unk>",
        "<s>",
        "</s>",
        "<pad>",
        "<mask>",
        *(f"<0x{byte:02X}>" for byte in range(256)),
    ]
    _trained_bpe(backend, special_tokens=specials, initial_alphabet=["▁"])
    state = json.loads(backend.to_str())
    state["added_tokens"] = [token for token in state["added_tokens"] if token["content"] in NAMED.values()]
    backend = Tokenizer.from_str(json.dumps(state))
    backend.post_processor = processors.BertProcessing(("</s>", 3), ("<s>", 2))
    return PreTrainedTokenizerFast(tokenizer_object=backend, **NAMED)


def _marked_bpe() -> PreTrainedTokenizerFast:
    """BPE with a mark on continuing pieces and one at the end of a word."""
    backend = Tokenizer(models.BPE(unk_token="<unk>", continuing_subword_prefix="@@", end_of_word_suffix="</w>"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    specials = ["<unk>", "<s>", "</s>", "<pad>", "<mask>"]
    _trained_bpe(backend, special_tokens=specials, continuing_subword_prefix="@@", end_of_word_suffix="</w>")
    return PreTrainedTokenizerFast(tokenizer_object=backend, **NAMED)


def _with_added_tokens() -> PreTrainedTokenizerFast:
    """Tokens added after the vocabulary: a plain word, a special one, and a list of extra special ones."""
    tokenizer = _wordpiece()
    tokenizer.add_tokens(["farmland", AddedToken("<ent>", special=True)])
    tokenizer.add_special_tokens({"extra_special_tokens": ["<lang:sw>", "<lang:yo>"]})
    return tokenizer


BUILDERS: dict[str, Callable[[], PreTrainedTokenizerFast]] = {
    "wordpiece": _wordpiece,
    "unigram": _unigram,
    "xlmr_with_moved_specials": _xlmr_with_moved_specials,
    "deberta": _deberta,
    "byte_bpe": _byte_bpe,
    "roberta": _roberta,
    "space_bpe": _space_bpe,
    "marked_bpe": _marked_bpe,
    "with_added_tokens": _with_added_tokens,
}


@pytest.fixture(scope="session")
def tokenizers_of_all_kinds() -> dict[str, PreTrainedTokenizerFast]:
    """Every tiny tokenizer by name."""
    return {name: build() for name, build in BUILDERS.items()}


@pytest.fixture(params=sorted(BUILDERS))
def tokenizer(request: pytest.FixtureRequest) -> PreTrainedTokenizerFast:
    """One fresh tiny tokenizer after the other."""
    return BUILDERS[request.param]()


@pytest.fixture(scope="session")
def texts() -> list[str]:
    """Sentences in four languages, with tone marks and hooked letters."""
    return TEXTS
