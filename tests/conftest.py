"""What tests share: no network, few threads, the reference folders where there are any, and two tiny teachers."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

# Before any library is imported, since some read these only once.
os.environ |= {
    "HF_HUB_OFFLINE": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "RAY_AUTH_MODE": "disabled",
    "RAY_USAGE_STATS_ENABLED": "0",
    "OMP_NUM_THREADS": "2",
}

ROOT = Path(__file__).resolve().parents[1]

ENGLISH = [
    "The farmer sings before the night and the children sing along.",
    "Amina came from Mombasa with her brother to sell fish in the market.",
    "In the rainy season the river rises and nobody crosses the old bridge.",
    "The teacher wrote a letter to the bank in Nairobi about the new school.",
    "My mother cooks rice, and we eat it together when the work is done.",
]
SWAHILI = [
    "Mkulima anaimba kabla ya usiku na watoto wanaimba pamoja naye.",
    "Amina alitoka Mombasa na kaka yake kuuza samaki sokoni.",
    "Wakati wa mvua mto unafurika na hakuna mtu anayevuka daraja la zamani.",
    "Mwalimu aliandika barua kwa benki ya Nairobi kuhusu shule mpya.",
    "Mama yangu hupika wali, nasi hula pamoja kazi inapokwisha.",
]


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data, models and golden numbers."""
    folder = Path(os.environ.get("BISTIL_SHARED") or ROOT.parent / "shared")
    if not folder.is_dir():
        pytest.skip("no reference folder: neither ../shared nor BISTIL_SHARED names one")
    return folder


@pytest.fixture(scope="session")
def golden(request: pytest.FixtureRequest) -> Path:
    """The folder of numbers that the published implementation gives on tiny models."""
    named = os.environ.get("BISTIL_GOLDEN")
    folder = Path(named) if named else request.getfixturevalue("shared") / "golden"
    if not folder.is_dir():
        pytest.skip("no golden numbers: neither ../shared/golden nor BISTIL_GOLDEN names their folder")
    return folder


@pytest.fixture(scope="session")
def toy_texts() -> dict[str, list[str]]:
    """A few sentences in a source and a target language."""
    return {"en": ENGLISH, "sw": SWAHILI}


@pytest.fixture(scope="session")
def bert_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved BERT of 4 layers with a masked-LM head and a WordPiece tokenizer; weights are random but fixed."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    from transformers import BertConfig, BertForMaskedLM, BertTokenizer

    backend = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    trainer = trainers.WordPieceTrainer(vocab_size=260, special_tokens=specials, show_progress=False)
    backend.train_from_iterator(ENGLISH + SWAHILI, trainer)
    tokenizer = BertTokenizer(vocab=backend.get_vocab(), do_lower_case=False)
    config = BertConfig(max_position_embeddings=128, pad_token_id=tokenizer.pad_token_id, **_shape(len(tokenizer)))
    return _save(BertForMaskedLM, config, tokenizer, tmp_path_factory.mktemp("bert"))


@pytest.fixture(scope="session")
def xlmr_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved XLM-R of 4 layers with a masked-LM head and a Unigram tokenizer; weights are random but fixed."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    from transformers import XLMRobertaConfig, XLMRobertaForMaskedLM, XLMRobertaTokenizer

    backend = Tokenizer(models.Unigram())
    backend.pre_tokenizer = pre_tokenizers.Metaspace()
    specials = ["<s>", "<pad>", "</s>", "<unk>"]
    trainer = trainers.UnigramTrainer(
        vocab_size=220, special_tokens=specials, unk_token="<unk>", show_progress=False
    )
    backend.train_from_iterator(ENGLISH + SWAHILI, trainer)
    pieces = [tuple(piece) for piece in json.loads(backend.to_str())["model"]["vocab"]]
    tokenizer = XLMRobertaTokenizer(vocab=[*pieces, ("<mask>", 0.0)])
    config = XLMRobertaConfig(
        max_position_embeddings=130,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        type_vocab_size=1,
        layer_norm_eps=1e-5,
        **_shape(len(tokenizer)),
    )
    return _save(XLMRobertaForMaskedLM, config, tokenizer, tmp_path_factory.mktemp("xlmr"))


def _shape(vocab_size: int) -> dict[str, float]:
    return {
        "vocab_size": vocab_size,
        "hidden_size": 32,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "intermediate_size": 64,
        "initializer_range": 0.2,
    }


def _save(model_class: type, config: object, tokenizer: object, folder: Path) -> Path:
    import torch

    with torch.random.fork_rng():
        torch.manual_seed(0)
        model_class(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
