"""The families of tokenizers and models that every task must do well with, and a model that is always right."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerFast
from transformers.utils import ModelOutput

from bistil_ray.data.batches import Features
from bistil_ray.models.loading import load_tokenizer


@pytest.fixture(params=["bert_folder", "xlmr_folder"])
def family_folder(request: pytest.FixtureRequest) -> Path:
    """The folder of a tiny encoder: one that tells the segments of a pair apart, one that does not."""
    folder: Path = request.getfixturevalue(request.param)
    return folder


@pytest.fixture
def family_tokenizer(family_folder: Path) -> PreTrainedTokenizerFast:
    """The tokenizer in ``family_folder``."""
    return load_tokenizer(family_folder)


class Oracle(nn.Module):
    """A model that looks up its output in what it was given; padding gets noise above everything it knows."""

    device = torch.device("cpu")
    config = SimpleNamespace(type_vocab_size=2)

    def __init__(self, features: Sequence[Features], answer: Callable[[Features], Mapping[str, Tensor]]) -> None:
        super().__init__()
        self.known = {tuple(row["input_ids"]): answer(row) for row in features}
        assert len(self.known) == len(features), "two features look the same"

    def forward(self, input_ids: Tensor, attention_mask: Tensor, return_dict: bool = True) -> ModelOutput:
        found = [
            self.known[tuple(ids[mask.bool()].tolist())] for ids, mask in zip(input_ids, attention_mask, strict=True)
        ]
        return ModelOutput(
            {name: nn.utils.rnn.pad_sequence([row[name] for row in found], True, 99.0) for name in found[0]}
        )


@pytest.fixture
def oracle() -> type[Oracle]:
    """The class of models that know their features' answers: ``oracle(features, answer)``."""
    return Oracle
