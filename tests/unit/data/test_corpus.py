"""Corpora are found wherever they lie, bad files are refused in one line, bad rows are skipped and counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from bistil_ray.data.corpus import Shard, corpus_files, draw_shards, list_shards, read_texts
from bistil_ray.data.parquet import inside
from bistil_ray.errors import DataError

WriteTexts = Callable[..., str]


def refusal(call: Callable[[], object]) -> str:
    with pytest.raises(DataError) as caught:
        call()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def read_all(path: str) -> tuple[list[str], Counter[str]]:
    tally: Counter[str] = Counter()
    texts = [
        text for shard in list_shards([path], "text") for batch in read_texts(shard, "text", tally) for text in batch
    ]
    return texts, tally


def test_one_file_per_language(write_texts: WriteTexts, tmp_path: Path) -> None:
    write_texts("sw/part.parquet", ["ndani"])
    path = write_texts("sw.parquet", ["moja"])
    assert corpus_files(f"{tmp_path}/", "sw") == [path]


def test_a_folder_of_files_comes_in_order_of_names(write_texts: WriteTexts, tmp_path: Path) -> None:
    paths = [write_texts(f"yo/{name}.parquet", ["a"]) for name in ("b", "a", "c")]
    write_texts("yo/.hidden.parquet", ["a"])
    write_texts("yo/deeper/x.parquet", ["a"])
    assert corpus_files(str(tmp_path), "yo") == sorted(paths)


def test_the_language_may_stand_inside_the_name(write_texts: WriteTexts, tmp_path: Path) -> None:
    paths = [write_texts(f"2023.{lang}/part-0.parquet", ["a"]) for lang in ("sw", "yo")]
    assert [corpus_files(f"{tmp_path}/2023.{{lang}}", lang) for lang in ("sw", "yo")] == [[path] for path in paths]
    assert f"{tmp_path}/2023.ha/*.parquet" in refusal(lambda: corpus_files(f"{tmp_path}/2023.{{lang}}/", "ha"))


def test_a_missing_language_names_paths_and_languages(write_texts: WriteTexts, tmp_path: Path) -> None:
    write_texts("sw.parquet", ["a"])
    write_texts("yo/1.parquet", ["a"])
    message = refusal(lambda: corpus_files(str(tmp_path), "ha"))
    assert f"{tmp_path}/ha.parquet" in message and f"{tmp_path}/ha/*.parquet" in message
    assert "languages there: sw, yo (--corpora)" in message
    assert "languages there: none" in refusal(lambda: corpus_files(f"{tmp_path}/nowhere", "ha"))


def test_file_uris_work_like_paths(write_texts: WriteTexts, tmp_path: Path) -> None:
    write_texts("sw.parquet", ["moja", "mbili"])
    (uri,) = corpus_files(f"file://{tmp_path}", "sw")
    assert read_all(uri)[0] == ["moja", "mbili"]


def test_options_of_a_uri_stay_at_its_end() -> None:
    assert inside("s3://bucket/texts?region=eu", "sw.parquet") == "s3://bucket/texts/sw.parquet?region=eu"
    assert inside("gs://bucket/texts/", "sw.parquet") == "gs://bucket/texts/sw.parquet"


def test_hub_data_sets_are_read_in_place(write_texts: WriteTexts, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = MemoryFileSystem()
    hub.store.clear()
    hub.pipe("/datasets/org/texts/ha/0.parquet", Path(write_texts("0.parquet", ["ɗaya", "biyu"])).read_bytes())
    monkeypatch.setattr("huggingface_hub.HfFileSystem", lambda: hub)
    (uri,) = corpus_files("hf://datasets/org/texts", "ha")
    assert uri == "hf://datasets/org/texts/ha/0.parquet"
    assert read_all(uri)[0] == ["ɗaya", "biyu"]
    hub.store.clear()


def test_a_hub_out_of_reach_is_an_error_of_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    class Unreachable(MemoryFileSystem):
        def info(self, path: str, **options: object) -> dict[str, object]:
            raise RuntimeError(f"no route to {path}\nmany\nmore lines")

    monkeypatch.setattr("huggingface_hub.HfFileSystem", Unreachable)
    assert "no route" in refusal(lambda: corpus_files("hf://datasets/org/texts", "ha"))


def test_each_row_group_is_a_shard(write_texts: WriteTexts) -> None:
    first = write_texts("a.parquet", ["x"] * 5, rows_per_group=2)
    second = write_texts("b.parquet", ["x"])
    empty = write_texts("c.parquet", [])
    expected = [Shard(first, 0, 2), Shard(first, 1, 2), Shard(first, 2, 1), Shard(second, 0, 1)]
    assert list_shards([first, second, empty], "text") == expected


def test_a_shard_tells_about_how_much_text_it_has(write_texts: WriteTexts) -> None:
    path = write_texts("sw.parquet", [f"{number:04}" * 250 for number in range(30)], rows_per_group=10)
    assert all(10_000 < shard.bytes < 13_000 for shard in list_shards([path], "text"))


def test_of_a_large_corpus_shards_are_drawn_and_keep_their_order() -> None:
    shards = [Shard("sw.parquet", number, 10, bytes=100) for number in range(1000)]
    drawn = draw_shards(shards, 20_000, seed=3)
    assert len(drawn) == 200 and drawn == sorted(drawn, key=lambda shard: shard.row_group)
    assert drawn == draw_shards(shards, 20_000, seed=3) != draw_shards(shards, 20_000, seed=4)
    assert 400 < sum(shard.row_group for shard in drawn) / 200 < 600, "from the whole corpus, not from its beginning"
    assert set(draw_shards(shards, 19_901, seed=3)) == set(drawn), "the last one may go beyond"
    assert set(draw_shards(shards, 10_000, seed=3)) < set(drawn)


@pytest.mark.parametrize(("most", "count"), [(300, 3), (1e9, 3), (1, 1)])
def test_a_small_corpus_is_drawn_whole_and_at_least_a_shard_of_any(most: float, count: int) -> None:
    shards = [Shard("sw.parquet", number, 10, bytes=100) for number in range(3)]
    drawn = draw_shards(shards, most, seed=0)
    assert len(drawn) == count and (count < 3 or drawn == shards)


def test_files_that_are_not_parquet_are_refused(write_texts: WriteTexts, tmp_path: Path) -> None:
    whole = Path(write_texts("sw.parquet", ["x"] * 50)).read_bytes()
    for name, content in {
        "text": b"just text, no table",
        "nothing": b"",
        "truncated": whole[: len(whole) // 2],
    }.items():
        path = tmp_path / f"{name}.parquet"
        path.write_bytes(content)
        message = refusal(lambda path=path: list_shards([str(path)], "text"))
        assert str(path) in message and "not a Parquet file, or is truncated" in message


def test_missing_and_wrong_columns_are_refused(tmp_path: Path) -> None:
    path = str(tmp_path / "sw.parquet")
    pq.write_table(pa.table({"body": ["x"], "size": [1], "raw": [b"x"]}), path)
    message = refusal(lambda: list_shards([path], "text"))
    assert "no column 'text' but body, size, raw (--set text_column)" in message
    assert "holds int64, but must hold strings" in refusal(lambda: list_shards([path], "size"))
    assert "holds binary, but must hold strings" in refusal(lambda: list_shards([path], "raw"))


def test_a_corpus_without_rows_is_refused(write_texts: WriteTexts) -> None:
    assert "has no rows" in refusal(lambda: list_shards([write_texts("sw.parquet", [])], "text"))


def test_a_vanished_file_is_refused(tmp_path: Path) -> None:
    assert "does not exist" in refusal(lambda: list_shards([str(tmp_path / "gone.parquet")], "text"))


def test_bad_rows_are_skipped_and_counted(write_texts: WriteTexts) -> None:
    decomposed = "e\u0323\u0301 kó"
    rows = [
        "Ọmọ",
        None,
        "",
        " \n\t\u00a0",
        b"\xff\xfe\x00",
        b"caf\xe9",
        "a\0b",
        "x" * 1_000_001,
        decomposed,
        "x" * 1_000_000,
    ]
    texts, tally = read_all(write_texts("yo.parquet", rows))
    assert texts == ["Ọmọ", decomposed, "x" * 1_000_000]
    assert tally == {"null": 1, "empty": 2, "not valid text": 3, "too long": 1}


def test_shards_together_give_every_row_once(write_texts: WriteTexts) -> None:
    rows = [f"row {number}" for number in range(2500)]
    assert read_all(write_texts("sw.parquet", rows, rows_per_group=1100)) == (rows, Counter())


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.string_view()])
def test_every_kind_of_string_column_is_read(kind: pa.DataType, tmp_path: Path) -> None:
    path = str(tmp_path / "sw.parquet")
    pq.write_table(pa.table({"text": pa.array(["moja", None], kind)}), path)
    assert read_all(path) == (["moja"], Counter(null=1))


def test_long_rows_come_in_small_batches(write_texts: WriteTexts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bistil_ray.data.corpus._BATCH_BYTES", 5_000)
    (shard,) = list_shards([write_texts("sw.parquet", [f"{number:04}" * 250 for number in range(40)])], "text")
    sizes = [sum(map(len, batch)) for batch in read_texts(shard, "text", Counter())]
    assert sum(sizes) == 40_000 and max(sizes) <= 5_000


def test_a_damaged_page_is_an_error_of_one_line(write_texts: WriteTexts, damage_texts: Callable[[str], None]) -> None:
    path = write_texts("sw.parquet", [f"row {number}" for number in range(500)])
    damage_texts(path)
    assert list_shards([path], "text") == [Shard(path, 0, 500)]
    assert f"{path} cannot be read" in refusal(lambda: read_all(path))
