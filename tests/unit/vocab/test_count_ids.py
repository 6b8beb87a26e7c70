"""Token counts: every id once, whatever the shape and size, and no id outside the vocabulary."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bistil_ray.errors import ModelError
from bistil_ray.vocab.count import count_ids


@given(st.lists(st.integers(0, 49)), st.sampled_from([np.int32, np.int64, np.uint16]))
def test_each_id_is_counted_where_it_stands(ids: list[int], dtype: type) -> None:
    counts = count_ids(np.array(ids, dtype=dtype), 50)
    assert counts.dtype == np.int64
    assert counts.tolist() == [ids.count(token) for token in range(50)]


def test_blocks_of_any_shape_and_more_than_a_chunk_count_the_same() -> None:
    ids = np.random.default_rng(0).integers(0, 1000, size=(1100, 1024), dtype=np.int32)
    assert (count_ids(ids, 1000) == np.bincount(ids.ravel(), minlength=1000)).all()


@pytest.mark.parametrize("wrong", [-1, 50])
def test_an_id_outside_the_vocabulary_is_refused(wrong: int) -> None:
    with pytest.raises(ModelError, match=f"id {wrong} is outside the vocabulary of 50"):
        count_ids(np.array([3, wrong, 4]), 50)
