"""Texts are recognised, within a batch and over many, in eight bytes each."""

from __future__ import annotations

import random

from bistil_ray.data.seen import SeenTexts


def test_a_text_is_new_once_within_a_batch_and_over_batches() -> None:
    seen = SeenTexts()
    assert seen.are_new(["a", "b", "a", ""]).tolist() == [True, True, False, True]
    assert seen.are_new([]).tolist() == []
    assert seen.are_new(["c", "b", "c", ""]).tolist() == [True, False, False, False]


def test_many_batches_agree_with_a_set() -> None:
    chance = random.Random(0)
    seen, known = SeenTexts(), set()
    for _ in range(200):
        texts = [str(chance.randrange(3000)) for _ in range(chance.randrange(60))]
        expected = []
        for text in texts:
            expected.append(text not in known)
            known.add(text)
        assert seen.are_new(texts).tolist() == expected


def test_memory_is_eight_bytes_a_text_in_few_runs() -> None:
    seen = SeenTexts()
    for start in range(0, 20_000, 100):
        seen.are_new([str(number) for number in range(start, start + 100)])
    assert sum(run.nbytes for run in seen._runs) == 8 * 20_000
    assert len(seen._runs) <= 8
