"""Bits per character: the definition, whatever the batches, and the known value of a model that knows nothing."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.nn import functional
from transformers import PreTrainedModel

from bistil_ray.data.masking import IGNORED, MaskingVocabulary, corrupt
from bistil_ray.errors import DataError
from bistil_ray.evaluate.language_model import bits_per_character
from bistil_ray.models.loading import load_masked_lm, load_tokenizer

Known = tuple[PreTrainedModel, MaskingVocabulary, np.ndarray]


@pytest.fixture(params=["bert_folder", "xlmr_folder"])
def known(request: pytest.FixtureRequest) -> Known:
    folder = request.getfixturevalue(request.param)
    vocabulary = MaskingVocabulary.from_tokenizer(load_tokenizer(folder))
    blocks = np.random.default_rng(0).integers(0, vocabulary.vocab_size, (7, 20), dtype=np.int32)
    return load_masked_lm(folder), vocabulary, blocks


def test_it_is_the_loss_of_masked_pieces_per_character(known: Known) -> None:
    model, vocabulary, blocks = known
    inputs, labels = corrupt(torch.from_numpy(blocks).long(), vocabulary, 0.15, torch.Generator().manual_seed(4))
    with torch.no_grad():
        logits = model(input_ids=inputs).logits
    loss = functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=IGNORED).item()
    measured = bits_per_character(model, blocks, vocabulary, characters=410, pieces=130, seed=4)
    assert measured == pytest.approx(loss * 130 / math.log(2) / 410, rel=1e-5)


def test_batches_make_no_difference_and_seeds_do(known: Known) -> None:
    model, vocabulary, blocks = known
    values = {size: bits_per_character(model, blocks, vocabulary, 400, 130, batch_size=size) for size in (1, 3, 100)}
    assert values[1] == pytest.approx(values[3], rel=1e-5) == pytest.approx(values[100], rel=1e-5)
    assert bits_per_character(model, blocks, vocabulary, 400, 130, batch_size=3) == values[3]
    assert bits_per_character(model, blocks, vocabulary, 400, 130, seed=1) != values[100]


def test_a_model_that_knows_nothing_needs_the_bits_of_the_vocabulary(known: Known) -> None:
    model, vocabulary, blocks = known
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    expected = math.log2(vocabulary.vocab_size) * 130 / 400
    assert bits_per_character(model, blocks, vocabulary, 400, 130) == pytest.approx(expected, rel=1e-5)


def test_the_model_is_left_as_it_was(known: Known) -> None:
    model, vocabulary, blocks = known
    model.train()
    bits_per_character(model, blocks, vocabulary, 400, 130)
    assert model.training
    assert model(input_ids=torch.from_numpy(blocks).long()).logits.shape == (7, 20, vocabulary.vocab_size)


def test_a_text_of_one_piece_can_be_measured(known: Known) -> None:
    model, vocabulary, _ = known
    special = vocabulary.special_ids[0]
    ordinary = next(id for id in range(99) if id not in vocabulary.special_ids)
    for seed in range(5):
        value = bits_per_character(model, np.array([[special, ordinary]], np.int32), vocabulary, 4, 1, seed=seed)
        assert math.isfinite(value) and value > 0


def test_a_text_without_pieces_is_refused(known: Known) -> None:
    model, vocabulary, _ = known
    with pytest.raises(DataError, match="packing.held_out"):
        bits_per_character(model, np.full((2, 3), vocabulary.special_ids[0], np.int32), vocabulary, 4, 0)
