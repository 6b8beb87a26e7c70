"""Phase 1's batches: languages take turns, step s is one batch whoever asks, ranks share its rows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from bistil_ray.data.masking import IGNORED, MaskingVocabulary
from bistil_ray.data.pack import block_file
from bistil_ray.steps.blocks import BlockStream, held_out_blocks
from bistil_ray.steps.context import Context, LocalContext
from bistil_ray.train.phase import Batch

VOCABULARY = MaskingVocabulary(vocab_size=100, mask_id=4, special_ids=(0, 1, 2, 3, 4))
LENGTH = 16
# The ids of each language lie in a range of its own.
RANGES = {"en": (10, 40), "sw": (40, 70), "yo": (70, 100)}


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Packed blocks of three languages, of different sizes, in two files each."""
    folder = tmp_path_factory.mktemp("pack")
    for number, (lang, (low, high)) in enumerate(RANGES.items()):
        random = np.random.default_rng(number)
        for part, rows in (("blocks", 11 + 6 * number), ("held_out", 5)):
            for name in ("one", "two"):
                with block_file(folder / part / lang / f"{name}.parquet", LENGTH) as file:
                    for _ in range(rows):
                        file.add(random.integers(low, high, LENGTH, dtype=np.int32))
    return folder


@pytest.fixture
def stream(packed: Path) -> BlockStream:
    files = tuple([str(path) for path in sorted((packed / "blocks" / lang).iterdir())] for lang in RANGES)
    return BlockStream(files, batch_size=4, micro_batches=2, mask=0.3, vocabulary=VOCABULARY, seed=3)


def taken(stream: BlockStream, start: int, stop: int, context: Context | None = None) -> list[list[Batch]]:
    return list(stream.batches(context or LocalContext(), start, stop))


def language(batch: list[Batch]) -> str:
    """The one language of a batch, told by its true ids."""
    ids = torch.cat([torch.where(part["labels"] != IGNORED, part["labels"], part["input_ids"]) for part in batch])
    found = {lang for lang, (low, high) in RANGES.items() if bool(((ids >= low) & (ids < high)).any())}
    assert len(found) == 1
    return found.pop()


def same(one: list[list[Batch]], other: list[list[Batch]]) -> bool:
    return len(one) == len(other) and all(
        len(a) == len(b) and all(torch.equal(x[name], y[name]) for x, y in zip(a, b, strict=True) for name in x)
        for a, b in zip(one, other, strict=True)
    )


def test_every_turn_visits_each_language_once_and_turns_differ(stream: BlockStream) -> None:
    turns = [[language(batch) for batch in taken(stream, 3 * turn, 3 * turn + 3)] for turn in range(6)]
    assert all(sorted(turn) == sorted(RANGES) for turn in turns)
    assert len({tuple(turn) for turn in turns}) > 1


@pytest.mark.parametrize("start", [1, 2, 3, 7, 22])
def test_a_step_is_the_same_batch_wherever_the_stream_is_entered(stream: BlockStream, start: int) -> None:
    assert same(taken(stream, 0, 24)[start:], taken(stream, start, 24))


def test_a_seed_has_batches_of_its_own(stream: BlockStream) -> None:
    other = BlockStream(stream.files, 4, 2, 0.3, VOCABULARY, seed=4)
    assert same(taken(stream, 0, 3), taken(stream, 0, 3))
    assert not same(taken(stream, 0, 3), taken(other, 0, 3))


@pytest.mark.parametrize("world", [2, 3, 6])
def test_the_rows_of_all_ranks_are_the_batch(
    stream: BlockStream, make_rank: Callable[[int, int], Context], world: int
) -> None:
    whole = taken(stream, 0, 5)
    ranks = [taken(stream, 0, 5, make_rank(rank, world)) for rank in range(world)]
    for step, batch in enumerate(whole):
        for name in ("input_ids", "labels", "attention_mask"):
            rows = torch.cat([part[name] for part in batch])
            shares = [torch.cat([part[name] for part in rank[step]]) for rank in ranks]
            assert [len(share) for share in shares] == [len(rows[rank::world]) for rank in range(world)]
            for rank, share in enumerate(shares):
                assert torch.equal(share, rows[rank::world])


def test_micro_batches_cut_a_batch_and_change_no_row(stream: BlockStream) -> None:
    whole = BlockStream(stream.files, 4, 1, 0.3, VOCABULARY, seed=3)
    for parted, one in zip(taken(stream, 0, 4), taken(whole, 0, 4), strict=True):
        assert (len(parted), len(one)) == (2, 1)
        for name, rows in one[0].items():
            assert torch.equal(torch.cat([part[name] for part in parted]), rows)


def test_the_wanted_share_is_corrupted(stream: BlockStream) -> None:
    labels = torch.cat([part["labels"] for batch in taken(stream, 0, 60) for part in batch])
    assert float((labels != IGNORED).float().mean()) == pytest.approx(0.3, abs=0.03)


def test_held_out_blocks_are_a_fixed_sample(packed: Path) -> None:
    some = held_out_blocks(packed, "sw", most=4)
    assert some.shape == (4, LENGTH)
    assert np.array_equal(some, held_out_blocks(packed, "sw")[:4])
    all_of_them = held_out_blocks(packed, "sw", most=1000)
    assert len(all_of_them) == len(np.unique(all_of_them, axis=0)) == 10, "none counts twice"


def test_batches_run_across_the_borders_of_chunks_and_a_short_last_one_is_left_out(packed: Path) -> None:
    from bistil_ray.data.order import chunks_from, read_chunk

    files = [str(path) for path in sorted((packed / "blocks" / "en").iterdir())]
    chunks = chunks_from(files, 0, 3, 30)
    rows = np.concatenate([read_chunk(chunk) for chunk in chunks])
    batches = list(LocalContext().blocks(chunks, 4))
    assert len(batches) == len(rows) // 4 > len(read_chunk(chunks[0])) // 4
    assert np.array_equal(np.concatenate(batches), rows[: 4 * len(batches)])
    assert len(rows) % 4
