"""Masked language models from the command line: from scratch, and on from one that exists."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForMaskedLM, AutoTokenizer, PreTrainedModel

Run = Callable[..., Any]
FEW = ("--steps", "30", "--batch-size", "8", "--length", "16", "--lr", "3e-3")


@pytest.fixture
def pretrain(bistil: Run, tiny_data: Path, tmp_path: Path) -> Callable[..., PreTrainedModel]:
    """A function training on Swahili text: ``pretrain(*flags)`` gives the model, which lies in ``tmp_path / "out"``."""

    def run(*flags: str) -> PreTrainedModel:
        places = ("--langs", "sw", "--corpora", str(tiny_data / "corpora"), "--out", str(tmp_path / "out"))
        ended = bistil("pretrain", *places, *FEW, *flags)
        assert ended.code == 0, ended.stderr
        assert re.search(r"Bits per character of held-out text: sw \d\.\d{3}\n$", ended.stderr)
        return AutoModelForMaskedLM.from_pretrained(tmp_path / "out").eval()

    return run


def loss_on_swahili(model: PreTrainedModel, folder: Path) -> float:
    """The loss of the words of one sentence, hidden one at a time."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    ids = tokenizer("Amina anaimba kabla ya usiku.", return_tensors="pt")["input_ids"]
    places = range(1, ids.shape[1] - 1)
    hidden = ids.repeat(len(places), 1)
    for row, place in enumerate(places):
        hidden[row, place] = tokenizer.mask_token_id
    with torch.no_grad():
        logits = model(input_ids=hidden).logits
    rows = torch.stack([logits[row, place] for row, place in enumerate(places)])
    return float(torch.nn.functional.cross_entropy(rows, ids[0, 1:-1]))


def test_a_model_from_scratch_has_the_shape_that_was_asked_for(
    pretrain: Callable[..., PreTrainedModel], bert_folder: Path
) -> None:
    model = pretrain("--tokenizer", str(bert_folder), "--layers", "1", "--hidden", "16", "--heads", "2")
    assert (model.config.num_hidden_layers, model.config.hidden_size, model.config.num_attention_heads) == (1, 16, 2)
    assert model.config.vocab_size == len(AutoTokenizer.from_pretrained(bert_folder))


def test_a_width_alone_gets_heads_that_divide_it(pretrain: Callable[..., PreTrainedModel], bert_folder: Path) -> None:
    model = pretrain("--tokenizer", str(bert_folder), "--layers", "1", "--hidden", "200")
    assert (model.config.hidden_size, model.config.num_attention_heads) == (200, 2)


@pytest.mark.parametrize("family", ["bert_folder", "xlmr_folder"])
def test_a_model_that_exists_is_trained_on_and_learns_the_language(
    pretrain: Callable[..., PreTrainedModel], family: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    given: Path = request.getfixturevalue(family)
    before = AutoModelForMaskedLM.from_pretrained(given).eval()
    after = pretrain("--model", str(given))
    assert after.config.to_diff_dict() == before.config.to_diff_dict()
    assert (
        AutoTokenizer.from_pretrained(tmp_path / "out").get_vocab() == AutoTokenizer.from_pretrained(given).get_vocab()
    )
    assert loss_on_swahili(after, given) < 0.8 * loss_on_swahili(before, given)


def test_training_starts_from_the_weights_of_the_model(
    pretrain: Callable[..., PreTrainedModel], bert_folder: Path
) -> None:
    before = AutoModelForMaskedLM.from_pretrained(bert_folder).state_dict()
    after = pretrain("--model", str(bert_folder), "--lr", "1e-8").state_dict()
    assert before.keys() == after.keys()
    assert all(torch.allclose(before[name], after[name], rtol=0, atol=1e-6) for name in before)
