"""Tiny models with every head, as they lie in folders, and runs that they come from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import pytest
import torch

from bistil_ray.export.heads import CLASSIFIER, HEADS, MASKED_LM, PARSER, TAGGER, Head
from bistil_ray.export.package import Subject, load_subject
from bistil_ray.models.heads import new_model
from bistil_ray.models.loading import load_tokenizer
from bistil_ray.results.records import Record
from tests.made_up_record import make_record

LABELS = {TAGGER: ("B-PER", "I-PER", "O"), CLASSIFIER: ("bad", "good"), PARSER: ("nsubj", "root")}


@pytest.fixture(scope="session")
def headed(bert_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[Head], Path]:
    """A function giving the folder of a tiny BERT with a head, whose labels mean nothing."""
    made = {MASKED_LM: bert_folder}

    def folder_of(head: Head) -> Path:
        if head not in made:
            made[head] = tmp_path_factory.mktemp(head.name)
            model = new_model(head.name, bert_folder, LABELS.get(head, ()), seed=1)
            for parameter in (value for name, value in model.named_parameters() if name.startswith(("arcs", "relat"))):
                torch.nn.init.normal_(parameter, std=0.1)  # a new parser scores 0 everywhere
            model.save_pretrained(made[head])
            load_tokenizer(bert_folder).save_pretrained(made[head])
        return made[head]

    return folder_of


@pytest.fixture(params=HEADS, ids=[head.name for head in HEADS])
def head(request: pytest.FixtureRequest) -> Head:
    """Each head in turn."""
    found: Head = request.param
    return found


@pytest.fixture(scope="session")
def tagger(headed: Callable[[Head], Path]) -> Subject:
    """A tiny tagger."""
    return load_subject(headed(TAGGER))


@pytest.fixture(scope="session")
def record() -> Callable[..., Record]:
    """A function making a record of a student of AfroXLMR: ``record("finetune-1", recipe="bistil", score=0.5)``."""
    return partial(
        make_record,
        teacher="afro-xlmr", layers=6, hidden=768, score=0.612, validation_score=0.8, source_score=0.79,
        params=66_000_000, bytes=264_000_000, vocab_size=30_000, latency_ms=12.5, tokens=1000, seconds=3600.0,
        model_dir="nowhere",
    )  # fmt: skip


@pytest.fixture
def records(record: Callable[..., Record]) -> Sequence[Record]:
    """A run of one language: a teacher, two students of its own and a baseline."""
    return [
        record("evaluate-1", recipe="teacher", density=None, layers=12, score=0.701),
        record("finetune-1"),
        record("finetune-2", density=0.02, score=0.655, validation_score=0.7),
        record("finetune-3", recipe="scratch", score=0.111, validation_score=0.2),
    ]
