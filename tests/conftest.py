"""What tests share: no network, few threads, the reference folders where there are any, and two tiny teachers."""

from __future__ import annotations

import os
import random
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.made_up_run import write_run

# Before any library is imported, since some read these only once.
os.environ |= {
    "HF_HUB_OFFLINE": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "RAY_AUTH_MODE": "disabled",
    "RAY_USAGE_STATS_ENABLED": "0",
    "OMP_NUM_THREADS": "1",
    # A stand-in for S3 takes any credentials; workers of Ray get the environment that it started with.
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "BISTIL_RAY_CACHE": f"{tempfile.gettempdir()}/bistil-ray-working-copies-{os.getpid()}",
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
def bucket() -> Iterator[str]:
    """The URI of a storage in a bucket of a stand-in for S3 on this machine."""
    server = pytest.importorskip("moto.server").ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    client = pytest.importorskip("boto3").client("s3", endpoint_url=f"http://{host}:{port}")
    client.create_bucket(Bucket="bucket")
    yield f"s3://bucket/runs?endpoint_override={host}:{port}&scheme=http"
    server.stop()
    shutil.rmtree(os.environ["BISTIL_RAY_CACHE"], ignore_errors=True)


@pytest.fixture(scope="session")
def toy_texts() -> dict[str, list[str]]:
    """A few sentences in a source and a target language."""
    return {"en": ENGLISH, "sw": SWAHILI}


@pytest.fixture(scope="session")
def bert_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved BERT of 4 layers with a masked-LM head and a WordPiece tokenizer; weights are random but fixed."""
    from transformers import BertConfig, BertForMaskedLM, BertTokenizer

    words, characters = _words_and_characters()
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    pieces += [*characters, *(f"##{character}" for character in characters), *words]
    tokenizer = BertTokenizer(vocab={piece: number for number, piece in enumerate(pieces)}, do_lower_case=False)
    config = BertConfig(max_position_embeddings=128, pad_token_id=tokenizer.pad_token_id, **_shape(len(tokenizer)))
    return _save(BertForMaskedLM, config, tokenizer, tmp_path_factory.mktemp("bert"))


@pytest.fixture(scope="session")
def xlmr_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved XLM-R of 4 layers with a masked-LM head and a Unigram tokenizer; weights are random but fixed."""
    from transformers import XLMRobertaConfig, XLMRobertaForMaskedLM, XLMRobertaTokenizer

    words, characters = _words_and_characters()
    pieces = [(special, 0.0) for special in ("<s>", "<pad>", "</s>", "<unk>")]
    pieces += [(character, -8.0) for character in ("\u2581", *characters)] + [(f"\u2581{word}", -5.0) for word in words]
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


@pytest.fixture
def toy_settings(tmp_path: Path, bert_folder: Path, toy_texts: dict[str, list[str]]) -> dict[str, Any]:
    """The settings of a run from English to Swahili on a few sentences, whose files lie in ``tmp_path``."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    tagged = {"tokens": [["Amina", "came", "from", "Mombasa"]] * 4, "ner_tags": [["B-PER", "O", "O", "B-LOC"]] * 4}
    tables = {f"corpora/{lang}": {"text": texts} for lang, texts in toy_texts.items()}
    tables |= {f"ner/en/{split}": tagged for split in ("train", "validation", "test")} | {"ner/sw/test": tagged}
    for name, columns in tables.items():
        file = tmp_path / f"{name}.parquet"
        file.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table(columns), file)
    return {
        "langs": ["sw"],
        "teachers": [str(bert_folder)],
        "corpora": str(tmp_path / "corpora"),
        "task_data": str(tmp_path / "ner"),
        "storage": str(tmp_path / "runs"),
        "packing": {"length": 32},
        "teach": {"max_length": 32},
        "finetune": {"max_length": 32},
    }


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Enough text to train on for a few steps: ``corpora`` and ``ner`` in English and two targets, sw and ha."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder = tmp_path_factory.mktemp("data")
    chance = random.Random(0)
    names = {"Amina": "B-PER", "Mombasa": "B-LOC", "Nairobi": "B-LOC"}
    for lang, texts in {"en": ENGLISH, "sw": SWAHILI, "ha": SWAHILI[1:]}.items():
        words = sorted({word.strip(".,") for text in texts for word in text.split()})
        (folder / "corpora").mkdir(exist_ok=True)
        documents = [" ".join(chance.choices(words, k=30)) + "." for _ in range(80)]
        pq.write_table(pa.table({"text": documents}), folder / "corpora" / f"{lang}.parquet", row_group_size=30)
        (folder / "ner" / lang).mkdir(parents=True)
        for split, rows in (("train", 24), ("validation", 8), ("test", 8)):
            tokens = [chance.choices([*words, *names], k=chance.randint(2, 9)) + ["Amina"] for _ in range(rows)]
            tags = [[names.get(word, "O") for word in sentence] for sentence in tokens]
            pq.write_table(pa.table({"tokens": tokens, "ner_tags": tags}), folder / "ner" / lang / f"{split}.parquet")
    return folder


@pytest.fixture(scope="session")
def tiny_settings(tiny_data: Path) -> dict[str, Any]:
    """The settings of a run on ``tiny_data`` whose every phase takes a few steps; teachers and storage are not set."""
    few = {"batch_size": 8, "precision": "fp32", "lr": 1e-3}
    return {
        "langs": ["sw"],
        "corpora": str(tiny_data / "corpora"),
        "task_data": str(tiny_data / "ner"),
        "densities": [0.1],
        "vocabulary": {"threshold": 0.0001},
        "packing": {"length": 16, "held_out": 0.1},
        "distil": {**few, "steps": 10, "evaluations": 2},
        "teach": {**few, "epochs": 1, "max_length": 32},
        "finetune": {**few, "dense_epochs": 1, "sparse_epochs": 1, "max_length": 32},
    }


def _words_and_characters() -> tuple[list[str], list[str]]:
    """Vocabularies are put together, not learned: the trainers' choice among equals is another in every process."""
    words = {word for text in ENGLISH + SWAHILI for word in text.replace(".", " .").replace(",", " ,").split()}
    return sorted(word for word in words if len(word) > 1), sorted(set("".join(words)))


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


@pytest.fixture(scope="session")
def make_run() -> Callable[..., Path]:
    """A function writing the files of a run as a sweep leaves them: ``make_run(folder, langs=["sw"], done=9)``."""
    return write_run
