"""Batches: padded at the end with what nobody reads, every example once an epoch, similar lengths together."""

from __future__ import annotations

from collections import Counter

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bistil_ray.data.batches import epoch_batches, length_of, pad_batch
from bistil_ray.data.masking import IGNORED


def test_batches_are_padded_at_the_end() -> None:
    rows = [
        {"input_ids": [2, 5, 6, 3], "token_type_ids": [0, 0, 1, 1], "labels": [IGNORED, 0, 1, IGNORED]},
        {"input_ids": [2, 5, 3], "token_type_ids": [0, 1, 1], "labels": [IGNORED, 1, IGNORED]},
    ]
    batch = pad_batch(rows, pad_id=9)
    assert batch["input_ids"].tolist() == [[2, 5, 6, 3], [2, 5, 3, 9]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 1], [1, 1, 1, 0]]
    assert batch["token_type_ids"].tolist() == [[0, 0, 1, 1], [0, 1, 1, 0]]
    assert batch["labels"].tolist() == [[IGNORED, 0, 1, IGNORED], [IGNORED, 1, IGNORED, IGNORED]]
    assert all(tensor.dtype == torch.int64 for tensor in batch.values())


def test_numbers_stay_one_for_each_example_and_lists_have_lengths_of_their_own() -> None:
    rows = [{"input_ids": [2, 3], "start": 1, "words": [0]}, {"input_ids": [2], "start": 0, "words": [0, 1, 2]}]
    batch = pad_batch(rows, pad_id=0)
    assert batch["start"].tolist() == [1, 0] and batch["start"].dtype == torch.int64
    assert batch["words"].tolist() == [[0, IGNORED, IGNORED], [0, 1, 2]]
    assert [length_of(row) for row in rows] == [2, 1]


def test_a_least_length_is_for_what_has_an_entry_for_each_token() -> None:
    rows = [
        {"input_ids": [2, 7, 3], "labels": [1, 2, 1], "words": [1, 2]},
        {"input_ids": [2], "labels": [1], "words": []},
    ]
    batch = pad_batch(rows, pad_id=0, length=4)
    assert batch["input_ids"].tolist() == [[2, 7, 3, 0], [2, 0, 0, 0]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 0], [1, 0, 0, 0]]
    assert batch["labels"].shape == (2, 4)
    assert batch["words"].shape == (2, 2)


def test_padding_does_not_change_the_examples() -> None:
    row = {"input_ids": [2, 3]}
    pad_batch([row, {"input_ids": [2, 4, 3]}], pad_id=0)
    assert row == {"input_ids": [2, 3]}


@settings(deadline=None)
@given(
    st.lists(st.integers(1, 60), min_size=1, max_size=500), st.integers(1, 9), st.integers(0, 2**32), st.integers(0, 99)
)
def test_an_epoch_holds_every_example_once_in_full_batches(
    lengths: list[int], size: int, seed: int, epoch: int
) -> None:
    batches = epoch_batches(lengths, size, seed, epoch)
    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    full, rest = divmod(len(lengths), size)
    assert Counter(map(len, batches)) == Counter({size: full}) + Counter({rest: 1} if rest else {})
    assert epoch_batches(lengths, size, seed, epoch) == batches


def test_batches_hold_similar_lengths_in_another_order_each_epoch() -> None:
    lengths = [1 + number % 50 for number in range(1000)]
    first, second, other = (epoch_batches(lengths, 8, seed, epoch) for seed, epoch in ((0, 0), (0, 1), (1, 0)))
    assert first != second and first != other
    padded = sum(len(batch) * max(lengths[index] for index in batch) for batch in first)
    assert padded < 1.1 * sum(lengths)
    assert [lengths[batch[0]] for batch in first] != sorted(lengths[batch[0]] for batch in first)
