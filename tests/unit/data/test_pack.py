"""Packing keeps every id of every good document in order; what is held out does not depend on the shards."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from bistil_ray.data.corpus import list_shards
from bistil_ray.data.order import chunks_from, read_chunk
from bistil_ray.data.pack import (
    PackedShard,
    block_file,
    count_shard,
    documents_in,
    is_held_out,
    pack_shard,
    tokenise_texts,
)
from bistil_ray.errors import DataError

WriteTexts = Callable[..., str]
ROWS = [
    f"{start} ọmọde {end} {'kọ ' * (number % 5)}."
    for number, (start, end) in enumerate([("wa", "ń"), ("inawaƙa", "waƙa")] * 150)
]


def pack(path: str, tokenizer_json: str, place: Path, length: int = 16, share: float = 0.2) -> list[PackedShard]:
    folders = {"blocks_folder": str(place / "blocks"), "held_out_folder": str(place / "held_out")}
    return [
        pack_shard(shard, "text", tokenizer_json, length, held_out_share=share, seed=3, **folders)
        for shard in list_shards([path], "text")
    ]


def in_blocks(documents: Iterable[Sequence[int]], length: int, folder: Path) -> np.ndarray:
    """The documents in a file of blocks, read again: int32 (N, length)."""
    with block_file(folder / "blocks.parquet", length) as file:
        for document in documents:
            file.add(np.array(document, dtype=np.int32))
    blocks = stored(folder)
    assert file.written == len(blocks)
    return blocks.reshape(-1, length)


def stored(folder: Path) -> np.ndarray:
    columns = [pq.read_table(file).column("ids") for file in sorted(folder.glob("*.parquet"))]
    return np.array([row for column in columns for row in column.to_pylist()], dtype=np.int32)


@settings(deadline=None)
@given(st.lists(st.lists(st.integers(0, 99), max_size=40), max_size=20), st.integers(1, 9))
def test_blocks_are_the_stream_cut_at_every_length(documents: list[list[int]], length: int) -> None:
    """Whenever a row group is written: here as soon as there are three blocks."""
    stream = [id for document in documents for id in document]
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr("bistil_ray.data.pack.GROUP_BLOCKS", 3)
        blocks = in_blocks(documents, length, Path(folder))
    assert blocks.reshape(-1).tolist() == stream[: len(stream) - len(stream) % length]


@settings(deadline=None)
@given(st.lists(st.lists(st.integers(1, 99), max_size=30), min_size=1, max_size=20), st.integers(1, 9))
def test_documents_in_blocks_are_found_again_cut_at_their_borders(documents: list[list[int]], length: int) -> None:
    with TemporaryDirectory() as folder:
        blocks = in_blocks([[0, *document] for document in documents], length, Path(folder))
    assume(len(blocks))
    assert documents_in(blocks, start=None) == blocks.tolist()
    found = documents_in(blocks, start=0)
    assert [id for ids in found for id in ids] == blocks.reshape(-1).tolist()
    assert all(0 < len(ids) <= length and 0 not in ids[1:] for ids in found)
    assert sum(ids[0] == 0 for ids in found) == int((blocks == 0).sum())


@settings(deadline=None)
@given(st.text(), st.integers(0, 2**40))
def test_nothing_or_everything_can_be_held_out(text: str, seed: int) -> None:
    assert is_held_out(text, 1.0, seed) and not is_held_out(text, 0.0, seed)


def test_the_share_held_out_is_the_one_asked_for_and_depends_on_the_seed() -> None:
    texts = [f"document {number}" for number in range(20_000)]
    first, second = ({text for text in texts if is_held_out(text, 0.1, seed)} for seed in (0, 1))
    assert len(first) == pytest.approx(2000, abs=150)
    assert len(first & second) == pytest.approx(200, abs=60)
    assert {text for text in texts if is_held_out(text, 0.3, 0)} > first


@pytest.mark.parametrize("family", ["bert_folder", "xlmr_folder"])
def test_ids_are_those_of_the_tokenizer_whole_and_with_markers(
    family: str, toy_texts: dict[str, list[str]], request: pytest.FixtureRequest
) -> None:
    tokenizer = AutoTokenizer.from_pretrained(request.getfixturevalue(family))
    texts = [*toy_texts["en"], *toy_texts["sw"], "", "unseen ☃ characters", " ".join(toy_texts["sw"]) * 20]
    expected = tokenizer(texts)["input_ids"]
    tokenizer(texts, truncation=True, padding="max_length", max_length=5)
    assert [ids.tolist() for ids in tokenise_texts(tokenizer.backend_tokenizer, texts)] == expected
    bare = tokenise_texts(tokenizer.backend_tokenizer, texts, markers=False)
    assert [ids.tolist() for ids in bare] == [ids[1:-1] for ids in expected]
    assert all(ids.dtype == np.int32 for ids in tokenise_texts(tokenizer.backend_tokenizer, texts))


def test_every_id_is_packed_in_order(
    write_texts: WriteTexts, tokenizer: PreTrainedTokenizerFast, tokenizer_json: str, tmp_path: Path
) -> None:
    (packed,) = pack(write_texts("yo.parquet", ROWS), tokenizer_json, tmp_path)
    for part, held_out, written in (("blocks", False, packed.blocks), ("held_out", True, packed.held_out_blocks)):
        documents = [row for row in ROWS if is_held_out(row, 0.2, 3) == held_out]
        stream = [id for ids in tokenizer(documents)["input_ids"] for id in ids]
        blocks = stored(tmp_path / part)
        assert blocks.shape == (written, 16) == (len(stream) // 16, 16)
        assert blocks.reshape(-1).tolist() == stream[: blocks.size]


def test_held_out_text_is_measured_without_special_and_unknown_pieces(
    write_texts: WriteTexts, tokenizer_json: str, tmp_path: Path
) -> None:
    path = write_texts("ha.parquet", ["inawaƙa kọ☃ kọ", "wa", "[MASK]"])
    (packed,) = pack(path, tokenizer_json, tmp_path, length=2, share=1.0)
    assert (packed.held_out_characters, packed.held_out_pieces) == (14 + 2 + 6, 3 + 1 + 0)
    assert packed.blocks == 0 and stored(tmp_path / "blocks").size == 0


def test_sharding_does_not_move_documents_between_the_sides(
    write_texts: WriteTexts, tokenizer_json: str, tmp_path: Path
) -> None:
    whole = pack(write_texts("a.parquet", ROWS), tokenizer_json, tmp_path / "whole")
    parts = pack(write_texts("b.parquet", ROWS[::-1], rows_per_group=70), tokenizer_json, tmp_path / "parts")
    assert len(parts) == 5 and whole[0].held_out_characters > 0
    for fact in ("held_out_characters", "held_out_pieces"):
        assert sum(getattr(part, fact) for part in parts) == getattr(whole[0], fact)


def test_doing_a_shard_again_gives_the_same_files(write_texts: WriteTexts, tokenizer_json: str, tmp_path: Path) -> None:
    path = write_texts("sw.parquet", ROWS, rows_per_group=200)
    pack(path, tokenizer_json, tmp_path)
    files = sorted((tmp_path / "blocks").iterdir()) + sorted((tmp_path / "held_out").iterdir())
    assert [file.name for file in files] == ["sw-00000.parquet", "sw-00001.parquet"] * 2
    before = [file.read_bytes() for file in files]
    pack(path, tokenizer_json, tmp_path)
    assert sorted((tmp_path / "blocks").iterdir()) == files[:2]
    assert [file.read_bytes() for file in files] == before


def test_files_whose_names_differ_behind_a_question_mark_keep_apart(
    write_texts: WriteTexts, tokenizer_json: str, tmp_path: Path
) -> None:
    for name in ("news?1.parquet", "news?2.parquet"):
        pack(write_texts(name, ROWS), tokenizer_json, tmp_path)
    assert sorted(file.name for file in (tmp_path / "blocks").iterdir()) == [
        "news?1-00000.parquet",
        "news?2-00000.parquet",
    ]


def test_a_damaged_shard_leaves_no_file(
    write_texts: WriteTexts, damage_texts: Callable[[str], None], tokenizer_json: str, tmp_path: Path
) -> None:
    path = write_texts("sw.parquet", ROWS)
    damage_texts(path)
    with pytest.raises(DataError, match="cannot be read"):
        pack(path, tokenizer_json, tmp_path / "packed")
    assert not [place for place in (tmp_path / "packed").rglob("*") if place.is_file()]


def test_bad_rows_reach_the_tally(write_texts: WriteTexts, tokenizer_json: str, tmp_path: Path) -> None:
    path = write_texts("sw.parquet", [*ROWS, None, b"\xff", "x" * 2_000_000, " "])
    (packed,) = pack(path, tokenizer_json, tmp_path)
    assert packed.tally == {"null": 1, "not valid text": 1, "too long": 1, "empty": 1}


def test_blocks_lie_in_row_groups_that_can_be_read_one_by_one(
    write_texts: WriteTexts, tokenizer_json: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bistil_ray.data.pack.GROUP_BLOCKS", 10)
    pack(write_texts("sw.parquet", ROWS), tokenizer_json, tmp_path)
    (file,) = map(str, (tmp_path / "blocks").iterdir())
    blocks = stored(tmp_path / "blocks")
    chunks = chunks_from([file], seed=0, start=0, blocks=len(blocks))
    read = np.concatenate([read_chunk(chunk) for chunk in chunks])
    assert len(chunks) > 5 and all(len(read_chunk(chunk)) <= 12 for chunk in chunks)
    assert sorted(map(tuple, read)) == sorted(map(tuple, blocks))


def test_counts_are_those_of_the_text_without_markers(
    write_texts: WriteTexts, tokenizer: PreTrainedTokenizerFast, tokenizer_json: str
) -> None:
    path = write_texts("sw.parquet", [*ROWS, None, b"\xff"], rows_per_group=100)
    counts = sum(count_shard(shard, "text", tokenizer_json) for shard in list_shards([path], "text"))
    ids = Counter(id for row in ROWS for id in tokenizer(row, add_special_tokens=False)["input_ids"])
    assert counts.dtype == np.int64 and counts.tolist() == [ids[id] for id in range(len(tokenizer))]


def test_a_shard_of_bad_rows_alone_gives_nothing(write_texts: WriteTexts, tokenizer_json: str, tmp_path: Path) -> None:
    path = write_texts("sw.parquet", [None, "", b"\xff"])
    assert pack(path, tokenizer_json, tmp_path)[0].blocks == 0
    assert count_shard(list_shards([path], "text")[0], "text", tokenizer_json).sum() == 0
