"""A file of any kind, given as a corpus, is read for what is in it or refused in one line."""

from __future__ import annotations

import json
import unicodedata
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import strategies as st

from bistil_ray.data.corpus import corpus_files, list_shards, read_texts
from bistil_ray.errors import DataError

Each = Callable[..., None]
Run = Callable[..., Any]

words = st.text(max_size=20) | st.sampled_from(
    ["", " ", "\0", "a\0b", "Habari ya leo", "\x1b[31mred", "[red]x[/]", "\u2028", "</script>", "x" * 5000]
)
huge = st.sampled_from(["x" * 1_000_000, "x" * 1_000_001, "﷽" * 400_000])
broken = st.binary(max_size=12) | st.sampled_from([b"\xff", b"\xed\xa0\x80", b"a\0", b"\xc3"])


def strings(kind: pa.DataType, binary: pa.DataType) -> st.SearchStrategy[pa.Array]:
    """A column of texts, or of bytes that say they are texts."""
    good = st.lists(st.none() | words, max_size=6).map(lambda values: pa.array(values, kind))
    bad = st.lists(st.none() | broken, min_size=1, max_size=4).map(lambda values: pa.array(values, binary).view(kind))
    return good | bad


others = st.one_of(
    st.lists(st.none() | st.integers(-9, 9), max_size=3).map(pa.array),
    st.lists(st.floats(), max_size=3).map(lambda values: pa.array(values, pa.float32())),
    st.lists(st.none() | words.map(str.encode), max_size=3).map(lambda values: pa.array(values, pa.binary())),
    st.lists(st.lists(words, max_size=2), max_size=3).map(lambda values: pa.array(values, pa.list_(pa.string()))),
    st.lists(st.fixed_dictionaries({"text": words}), min_size=1, max_size=2).map(pa.array),
    st.lists(st.sampled_from("ab"), min_size=1, max_size=4).map(lambda values: pa.array(values).dictionary_encode()),
    st.integers(0, 3).map(pa.nulls),
    st.lists(st.dates(), max_size=2).map(lambda values: pa.array(values, pa.date32())),
    st.lists(st.booleans(), max_size=2).map(lambda values: pa.array(values, pa.bool_())),
)  # fmt: skip
columns = strings(pa.string(), pa.binary()) | strings(pa.large_string(), pa.large_binary()) | others
names = st.sampled_from(["text", "Text", "text ", "", "body", "text.item", "text"])


@st.composite
def files(draw: st.DrawFn) -> bytes:
    """The bytes of a Parquet file, as often as not damaged, or of none."""
    kind = draw(st.sampled_from(["whole", "whole", "damaged", "cut", "another"]))
    if kind == "another":
        return draw(st.binary(max_size=60) | words.map(lambda text: json.dumps({"text": text[:99]}).encode()))
    wanted = draw(st.lists(st.tuples(names, columns), min_size=1, max_size=3))
    rows = min(len(column) for _, column in wanted)
    table = pa.Table.from_arrays([column[:rows] for _, column in wanted], [name for name, _ in wanted])
    sink = pa.BufferOutputStream()
    compression = draw(st.sampled_from(["snappy", "zstd", "none", "gzip"]))
    pq.write_table(table, sink, row_group_size=draw(st.integers(1, 4)), compression=compression, version="2.6")
    data = bytearray(sink.getvalue().to_pybytes())
    if kind == "cut":
        return bytes(data[: draw(st.integers(0, len(data) - 1))])
    if kind == "damaged":
        for place in draw(st.lists(st.integers(0, len(data) - 1), min_size=1, max_size=4)):
            data[place] = draw(st.integers(0, 255))
    return bytes(data)


def read(folder: str) -> tuple[list[str], Counter[str]]:
    tally: Counter[str] = Counter()
    shards = list_shards(corpus_files(folder, "sw"), "text")
    return [text for shard in shards for batch in read_texts(shard, "text", tally) for text in batch], tally


def test_any_file_as_a_corpus(each: Each, tmp_path: Path) -> None:
    file = tmp_path / "sw.parquet"

    def judge(data: bytes) -> None:
        file.write_bytes(data)
        try:
            texts, tally = read(str(tmp_path))
        except DataError as refusal:
            assert len(str(refusal).splitlines()) == 1, refusal
            return
        for text in texts:
            assert text.strip() and "\0" not in text and len(text.encode()) <= 1_000_000
        assert set(tally) <= {"null", "empty", "too long", "not valid text"}

    each(files(), judge, cases=1000)


def test_whole_columns_of_text_lose_nothing_but_what_is_counted(each: Each, tmp_path: Path) -> None:
    def judge(values: list[str | None]) -> None:
        pq.write_table(pa.table({"text": pa.array(values, pa.string())}), tmp_path / "sw.parquet")
        if not values:
            with pytest.raises(DataError, match="has no rows"):
                read(str(tmp_path))
            return
        texts, tally = read(str(tmp_path))
        good = [v for v in values if v and v.strip() and "\0" not in v and len(v.encode()) <= 1_000_000]
        assert texts == good
        assert tally.total() == len(values) - len(good)

    each(st.lists(st.none() | words, max_size=8), judge, cases=400)
    each(st.lists(huge | words, max_size=4), judge, cases=40)


def test_any_file_is_checked(each: Each, ends_well: Run, tmp_path: Path) -> None:
    file = tmp_path / "corpora" / "sw.parquet"
    file.parent.mkdir()

    def judge(data: bytes) -> None:
        file.write_bytes(data)
        ended = ends_well("corpus", "check", str(file.parent), "--langs", "sw", "--source", "sw")
        if ended.code == 0:
            assert "rows that cannot be used" in ended.stdout
            assert all(unicodedata.category(c) != "Cc" for c in ended.stdout.replace("\n", ""))

    each(files(), judge, cases=250)


@pytest.mark.parametrize("suffix", ["txt", "jsonl", "csv", "tsv", "parquet", "txt.gz", "jsonl.zst"])
def test_any_file_is_built_from(each: Each, ends_well: Run, tmp_path: Path, suffix: str) -> None:
    cells = words | st.none() | st.integers() | st.lists(words, max_size=1)
    rows = st.dictionaries(st.sampled_from(["text", "source", "licence", ""]), cells)
    lines = st.lists(rows, max_size=4).map(lambda rows: "\n".join(map(json.dumps, rows)).encode())
    table = st.lists(words.map(lambda word: word[:50]), max_size=9).map(
        lambda cells: ("text,b\n" + ",".join(cells)).encode()
    )
    file, out = tmp_path / f"raw.{suffix}", tmp_path / "out"
    made = iter(range(10**9))

    def judge(data: bytes) -> None:
        file.write_bytes(data)
        place = out / str(next(made))
        ended = ends_well("corpus", "build", str(file), "--lang", "sw", "--out", str(place), "--min-characters", "1")
        if ended.code == 0:
            texts, tally = read(str(place))
            assert texts and not tally
        else:
            assert not list(place.glob("*/*"))

    each(files() | lines | table | words.map(str.encode), judge, cases=40)
