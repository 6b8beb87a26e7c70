"""Corruption changes only what it may, in the right shares, and is a function of its generator."""

from __future__ import annotations

import pickle

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from bistil_ray.data.masking import IGNORED, MaskingVocabulary, corrupt
from bistil_ray.errors import ModelError

VOCABULARY = MaskingVocabulary(vocab_size=50, mask_id=7, special_ids=(0, 3, 7, 49))


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def random_ids(rows: int, columns: int) -> torch.Tensor:
    return torch.randint(50, (rows, columns), generator=generator(1))


@settings(deadline=None)
@given(st.integers(0, 2**32), st.floats(0, 1), st.integers(1, 5), st.integers(1, 40))
def test_labels_hold_the_truth_and_special_tokens_stay(seed: int, probability: float, rows: int, columns: int) -> None:
    ids = random_ids(rows, columns)
    before = ids.clone()
    inputs, labels = corrupt(ids, VOCABULARY, probability, generator(seed))
    chosen = labels != IGNORED
    special = torch.isin(ids, torch.tensor(VOCABULARY.special_ids))
    assert torch.equal(ids, before) and inputs.dtype == labels.dtype == torch.int64
    assert torch.equal(labels[chosen], ids[chosen]) and not (chosen & special).any()
    assert torch.equal(inputs[~chosen], ids[~chosen])
    replaced = chosen & (inputs != ids) & (inputs != VOCABULARY.mask_id)
    assert not torch.isin(inputs[replaced], torch.tensor(VOCABULARY.special_ids)).any()


def test_shares_are_those_of_bert() -> None:
    ids = torch.full((400, 500), 11)
    inputs, labels = corrupt(ids, VOCABULARY, 0.15, generator(0))
    chosen = labels != IGNORED
    assert chosen.float().mean().item() == pytest.approx(0.15, abs=0.005)
    outcomes = inputs[chosen]
    assert (outcomes == VOCABULARY.mask_id).float().mean().item() == pytest.approx(0.8, abs=0.01)
    # One in ten is drawn at random from 46 ids, of which the id itself is one.
    drawn = (outcomes != VOCABULARY.mask_id) & (outcomes != 11)
    assert drawn.float().mean().item() == pytest.approx(0.1 * 45 / 46, abs=0.01)
    assert len(outcomes[drawn].unique()) == 45


def test_the_same_generator_gives_the_same_corruption() -> None:
    ids = random_ids(4, 60)
    first, second, other = (corrupt(ids, VOCABULARY, 0.15, generator(seed)) for seed in (5, 5, 6))
    assert torch.equal(first[0], second[0]) and torch.equal(first[1], second[1])
    assert not torch.equal(first[1], other[1])


def test_the_generator_moves_on_alike_for_every_batch_of_a_shape() -> None:
    states = []
    for ids, probability in ((random_ids(3, 20), 0.15), (torch.zeros(3, 20, dtype=torch.int64), 0.9)):
        stream = generator(2)
        corrupt(ids, VOCABULARY, probability, stream)
        states.append(stream.get_state())
    assert torch.equal(*states)


def test_facts_come_from_a_tokenizer(tokenizer: PreTrainedTokenizerFast, xlmr_folder: str) -> None:
    assert MaskingVocabulary.from_tokenizer(tokenizer) == MaskingVocabulary(15, 4, (0, 1, 2, 3, 4))
    other = AutoTokenizer.from_pretrained(xlmr_folder)
    assert MaskingVocabulary.from_tokenizer(other).special_ids == (0, 1, 2, 3, len(other) - 1)


def test_facts_travel_between_processes(tokenizer: PreTrainedTokenizerFast) -> None:
    vocabulary = MaskingVocabulary.from_tokenizer(tokenizer)
    corrupt(torch.tensor([[5, 6]]), vocabulary, 0.15, generator(0))
    assert pickle.loads(pickle.dumps(vocabulary)) == vocabulary


def test_a_tokenizer_without_a_mask_token_is_refused(tokenizer: PreTrainedTokenizerFast) -> None:
    tokenizer.mask_token = None
    with pytest.raises(ModelError, match="no mask token"):
        MaskingVocabulary.from_tokenizer(tokenizer)
