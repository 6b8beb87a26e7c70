"""The task phases' batches: all sentences once an epoch, step s is one batch whoever asks, ranks share it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from bistil_ray.data.examples import Examples
from bistil_ray.data.masking import IGNORED
from bistil_ray.models.loading import load_tokenizer
from bistil_ray.steps.context import Context, Job, LocalContext
from bistil_ray.steps.labelled import LabelledStream, labelled_examples
from bistil_ray.tasks.registry import TASKS
from bistil_ray.train.phase import Batch

ROWS = 21


@pytest.fixture(scope="module")
def make_stream(bert_folder: Path) -> Callable[..., LabelledStream]:
    """A function making a stream over 21 sentences of different lengths, no two of them alike."""
    tokenizer = load_tokenizer(str(bert_folder))
    words = tuple(("the", "river", *("rises",) * (row % 7), *("Amina",) * (row // 7)) for row in range(ROWS))
    tags = tuple(tuple("B-PER" if word == "Amina" else "O" for word in sentence) for sentence in words)

    examples = Examples({"tokens": words, "upos": tags}, "made up", {})
    features = TASKS["pos"].encode(examples, tokenizer, ("B-PER", "O"), 64)

    def make(batch_size: int = 4, micro_batches: int = 1, seed: int = 0, languages: int = 1) -> LabelledStream:
        shares = [features[number::languages] for number in range(languages)]
        return LabelledStream(shares, tokenizer.pad_token_id, batch_size, micro_batches, seed)

    return make


def taken(stream: LabelledStream, start: int, stop: int, context: Context | None = None) -> list[list[Batch]]:
    return list(stream.batches(context or LocalContext(), start, stop))


def rows(batch: list[Batch]) -> Counter[tuple[int, ...]]:
    """The sentences of a batch, without padding."""
    return Counter(
        tuple(ids[mask.bool()].tolist())
        for part in batch
        for ids, mask in zip(part["input_ids"], part["attention_mask"], strict=True)
    )


def test_batches_have_few_lengths_and_none_is_beyond_the_longest_sentence(
    make_stream: Callable[..., LabelledStream],
) -> None:
    lengths = [len(ids) for batch in taken(make_stream(), 0, 6) for part in batch for ids in rows([part])]
    shapes = {part["input_ids"].shape[1] for batch in taken(make_stream(), 0, 6) for part in batch}
    assert len(set(lengths)) > len(shapes) > 1
    assert max(shapes) == max(lengths)
    assert all(shape % 8 == 0 for shape in shapes - {max(lengths)})


def test_an_epoch_holds_every_sentence_once(make_stream: Callable[..., LabelledStream]) -> None:
    stream = make_stream()
    assert stream.steps(1) == 6
    for epoch in range(2):
        seen = sum((rows(batch) for batch in taken(stream, 6 * epoch, 6 * epoch + 6)), Counter())
        assert len(seen) == ROWS == sum(seen.values())


@pytest.mark.parametrize(("epochs", "steps"), [(0.01, 1), (0.5, 3), (1, 6), (2.5, 15)])
def test_epochs_are_counted_in_steps(make_stream: Callable[..., LabelledStream], epochs: float, steps: int) -> None:
    assert make_stream().steps(epochs) == steps


@pytest.mark.parametrize("start", [1, 5, 6, 7, 13])
def test_a_step_is_the_same_batch_wherever_the_stream_is_entered(
    make_stream: Callable[..., LabelledStream], start: int
) -> None:
    whole, late = taken(make_stream(), 0, 15)[start:], taken(make_stream(), start, 15)
    assert len(whole) == len(late)
    for one, other in zip(whole, late, strict=True):
        assert all(torch.equal(a[name], b[name]) for a, b in zip(one, other, strict=True) for name in a)


def test_epochs_and_seeds_have_orders_of_their_own(make_stream: Callable[..., LabelledStream]) -> None:
    first, second = ([rows(batch) for batch in taken(make_stream(), 6 * epoch, 6 * epoch + 6)] for epoch in range(2))
    assert first != second
    assert first != [rows(batch) for batch in taken(make_stream(seed=1), 0, 6)]


@pytest.mark.parametrize("world", [2, 3, 8])
def test_the_sentences_of_all_ranks_are_the_batch(
    make_stream: Callable[..., LabelledStream], make_rank: Callable[[int, int], Context], world: int
) -> None:
    whole = taken(make_stream(), 0, 6)
    ranks = [taken(make_stream(), 0, 6, make_rank(rank, world)) for rank in range(world)]
    for step, batch in enumerate(whole):
        assert sum((rows(rank[step]) for rank in ranks), Counter()) == rows(batch)


def test_a_rank_whose_share_is_empty_gets_a_batch_without_rows(
    make_stream: Callable[..., LabelledStream], make_rank: Callable[[int, int], Context]
) -> None:
    batches = taken(make_stream(micro_batches=2), 0, 6, make_rank(7, 8))
    assert [[len(part["input_ids"]) for part in batch] for batch in batches] == [[0]] * 6


def test_micro_batches_cut_a_batch_and_change_no_sentence(make_stream: Callable[..., LabelledStream]) -> None:
    for parted, one in zip(taken(make_stream(micro_batches=3), 0, 6), taken(make_stream(), 0, 6), strict=True):
        assert rows(parted) == rows(one)
        assert len(parted) <= 3


def test_labels_sit_on_first_pieces_and_padding_has_none(make_stream: Callable[..., LabelledStream]) -> None:
    for batch in taken(make_stream(), 0, 6):
        for part in batch:
            assert set(part["labels"].unique().tolist()) <= {IGNORED, 0, 1}
            assert (part["labels"][part["attention_mask"] == 0] == IGNORED).all()
            assert (part["labels"][:, 0] == IGNORED).all()


def test_batches_are_of_one_language_and_all_languages_are_seen_in_an_epoch(
    make_stream: Callable[..., LabelledStream],
) -> None:
    alone, mixed = make_stream(), make_stream(languages=2)
    assert mixed.steps(1) == 6
    batches = taken(mixed, 0, 6)
    spoken = [{int(part["language"][0]) for part in batch} for batch in batches]
    assert all(len(languages) == 1 for languages in spoken) and set.union(*spoken) == {0, 1}
    assert sum(map(rows, batches), Counter()) == sum(map(rows, taken(alone, 0, 6)), Counter())
    turns = [[int(part[0]["language"][0]) for part in taken(mixed, 6 * epoch, 6 * epoch + 6)] for epoch in range(2)]
    assert turns[0] != sorted(turns[0]) or turns[1] != sorted(turns[1]), "languages are mixed"


def test_rows_of_no_use_are_told_in_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "train.parquet"
    pq.write_table(pa.table({"tokens": [["a"], None, []], "upos": [["X"], ["X"], []]}), file)
    job = Job("finetune", {"task": "pos", "label_map": {}, "labels": ["X"]}, {"train-en": str(file)}, {}, tmp_path)
    assert len(labelled_examples(job, "train-en")) == 1
    assert caplog.messages == [f"left out of {file}: 1 null, 1 empty"]
