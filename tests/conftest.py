"""What tests share: no network, few threads, the reference folders where there are any, and two tiny teachers."""

from __future__ import annotations

import itertools
import json
import os
import random
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

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
    return _write_run


def _write_run(
    folder: Path,
    langs: Sequence[str] = ("sw", "yo"),
    teachers: Sequence[str] = ("models/big", "models/small"),
    layers: Sequence[int] = (2,),
    densities: Sequence[float] = (0.02, 0.08, 0.32),
    recipes: Sequence[str] = ("bistil",),
    seeds: Sequence[int] = (0,),
    done: int | None = None,
    reason: str = "the loss is not a number",
) -> Path:
    """Write a run of made-up scores; with ``done``, that many steps are done, the next failed and two more run."""
    chance = random.Random(0)
    run, steps = folder / "made-up", _made_up_steps(langs, teachers, layers, densities, recipes, seeds)
    config = {"langs": list(langs), "source": "en", "teachers": list(teachers), "task": "ner", "storage": str(folder)}
    files = {"config.yaml": yaml.safe_dump(config), "plan.json": json.dumps({"steps": list(steps.values())})}
    states, records = {}, []
    for number, (key, step) in enumerate(steps.items()):
        state = _made_up_state(number, done, step, states)
        states[key] = {"state": state, "reason": reason if state == "failed" else ""}
        at = folder / "steps" / key
        if state in ("done", "running"):
            losses = [{"step": n, "tokens": 100 * n, "loss": 3 / n, "loss_hidden": 2 / n} for n in range(1, 13)]
            losses = [{"phase": "sparse", **line} if step["kind"] == "finetune" else line for line in losses]
            bits = [{"step": 12, "tokens": 1200, "bits_per_character": 1.5}] if step["kind"] == "distil" else []
            at.mkdir(parents=True)
            (at / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in [*losses, *bits]))
        if state == "done":
            record = (
                _made_up_record(step, str(at / "model"), chance) if step["kind"] in ("evaluate", "finetune") else None
            )
            records += [record] if record else []
            result = {"started": 1000.0 + 60 * number, "finished": 1050.0 + 60 * number, "tokens": step["tokens"]}
            result |= (
                {"record": record} if record else {"bits_per_character": {"en": 1.2, step["about"].get("lang"): 1.5}}
            )
            (at / "result.json").write_text(json.dumps(result))
            (at / "DONE").write_text("")
    files |= {"status.json": json.dumps(states)}
    files |= {"results.jsonl": "".join(json.dumps(record) + "\n" for record in records)} if records else {}
    run.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (run / name).write_text(text)
    return run


def _made_up_steps(
    langs: Sequence[str],
    teachers: Sequence[str],
    layers: Sequence[int],
    densities: Sequence[float],
    recipes: Sequence[str],
    seeds: Sequence[int],
) -> dict[str, dict[str, Any]]:
    steps: dict[str, dict[str, Any]] = {}

    def add(kind: str, about: dict[str, Any], tokens: int = 0, **needs: str) -> str:
        key = f"{kind}-{len(steps):020x}"
        step = {"key": key, "kind": kind, "about": about, "needs": needs, "tokens": tokens, "flops": 1e9 * tokens}
        steps[key] = {**step, "settings": {**about, "lr": 0.001}, "inputs": {"corpus": f"corpora/{about.get('lang')}"}}
        return key

    packs = {lang: add("pack", {"languages": f"en-{lang}"}) for lang in langs}
    taught = {name: add("task-teacher", {"teacher": name, "seed": 0}, 1000) for name in teachers}
    pairs = list(itertools.product(langs, teachers))
    scored = {
        (lang, name): add("evaluate", {"lang": lang, "teacher": name, "seed": 0}, task_teacher=taught[name])
        for lang, name in pairs
    }
    for seed, recipe, (lang, name), depth in itertools.product(seeds, recipes, pairs, layers):
        about = {"lang": lang, "teacher": name, "layers": depth, "recipe": recipe, "seed": seed}
        student = add("distil", about, 1200, pack=packs[lang])
        for density in densities:
            needs = {"student": student, "task_teacher": taught[name], "evaluate": scored[lang, name]}
            add("finetune", {**about, "density": density}, 1200, **needs)
    return steps


def _made_up_state(number: int, done: int | None, step: dict[str, Any], states: dict[str, Any]) -> str:
    if done is None or number < done:
        return "done"
    if any(states.get(need, {}).get("state") in ("failed", "skipped") for need in step["needs"].values()):
        return "skipped"
    return "failed" if number == done else "running" if number <= done + 2 else "waiting"


def _made_up_record(step: dict[str, Any], model: str, chance: random.Random) -> dict[str, Any]:
    about = {"recipe": "teacher", "layers": 4, "density": None, **step["about"]}
    teacher_score = 0.8 if about["teacher"].endswith("big") else 0.6
    score = teacher_score
    if step["kind"] == "finetune":
        score *= 0.2 if about["recipe"] == "scratch" else 0.9 + 0.02 * about["layers"] * chance.random()
    params = 300_000 * about["layers"]
    return {
        "step": step["key"], "kind": step["kind"], "source": "en", "hidden": 128, "task": "ner", "split": "test",
        "metric": "f1", "score": score, "validation_score": score + 0.05, "teacher_score": teacher_score,
        "retention": score / teacher_score, "source_score": score + 0.1, "params": params, "bytes": 4 * params,
        "vocab_size": 1500, "flops_per_token": 2.0 * params, "latency_ms": about["layers"] * (1 + chance.random()),
        "tokens": 2400, "seconds": 20.0, "model_dir": model, "time": "2026-01-01T00:00:00Z", **about,
        "agreement": chance.random() if step["kind"] == "finetune" else None,
    }  # fmt: skip
