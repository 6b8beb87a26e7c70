"""What goes into a corpus: cleaned, once, within its limits, with source and licence; whole or not at all."""

from __future__ import annotations

import json
import unicodedata
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from bistil_ray.data.build import BuildReport, build_corpus, corpus_folder
from bistil_ray.data.corpus import corpus_files, list_shards, read_texts
from bistil_ray.data.documents import LICENCES, SOURCE, Selection, clean, parse_only
from bistil_ray.data.raw import Layout, find_inputs
from bistil_ray.errors import ConfigError, DataError, StorageError

ANY_LENGTH = Selection(min_characters=1)


@pytest.fixture
def build(tmp_path: Path) -> Callable[..., tuple[list[dict[str, Any]], BuildReport]]:
    """A function building the corpus ``corpora/sw`` of rows, and giving it with the report."""

    def run(
        rows: list[Any], selection: Selection = ANY_LENGTH, **layout: Any
    ) -> tuple[list[dict[str, Any]], BuildReport]:
        file = tmp_path / "raw.jsonl"
        file.write_text("".join(json.dumps(row if isinstance(row, dict) else {"text": row}) + "\n" for row in rows))
        folder = corpus_folder(tmp_path / "corpora", "sw")
        layout = Layout(others=(SOURCE, *LICENCES), **layout)
        report = build_corpus(find_inputs(str(file)), layout, selection, folder)
        return [row for file in sorted(folder.iterdir()) for row in pq.read_table(file).to_pylist()], report

    return run


def test_cleaning_gives_a_text_one_spelling() -> None:
    decomposed = unicodedata.normalize("NFD", "Ọmọ náà")
    assert clean(f"  {decomposed}\t\n\u00a0ń kọ ") == "Ọmọ náà ń kọ"
    assert clean(f" {decomposed}  ń", nfc=False) == f"{decomposed} ń"


def test_each_text_is_kept_once_in_the_order_met(build: Callable[..., Any]) -> None:
    composed, decomposed = "Ọmọ náà ń kọ orin", unicodedata.normalize("NFD", "Ọmọ  náà ń kọ\norin")
    rows, report = build(["moja", composed, "moja", decomposed, "mbili", "Moja"])
    assert [row["text"] for row in rows] == ["moja", composed, "mbili", "Moja"]
    assert (report.read, report.kept, report.dropped) == (6, 4, Counter(duplicate=2))
    assert report.words == 1 + 5 + 1 + 1
    assert report.characters == 4 + len(composed) + 5 + 4


def test_without_nfc_spellings_stay_apart(build: Callable[..., Any]) -> None:
    texts = ["náà", unicodedata.normalize("NFD", "náà")]
    rows, _ = build(texts, Selection(min_characters=1, nfc=False))
    assert [row["text"] for row in rows] == texts


def test_every_row_that_is_left_out_has_a_reason(build: Callable[..., Any]) -> None:
    rows = ["a" * 10, "a" * 9, "b" * 20, "b" * 21, "  a a  ", " \n ", "", None, 7, ["a"], "a\0" * 9, "\ud83d" * 9]
    rows += ["x" * 1_000_001, {"id": 1}]
    kept, report = build(rows, Selection(min_characters=10, max_characters=20))
    assert [row["text"] for row in kept] == ["a" * 10, "b" * 20]
    reasons = {"too short": 2, "too long": 2, "empty": 2, "null": 2, "not valid text": 4}
    assert report.dropped == reasons
    assert report.read == len(rows)


def test_rows_are_chosen_by_a_column(build: Callable[..., Any]) -> None:
    rows = [{"text": "moja", "lang": "sw"}, {"text": "one", "lang": "en"}, {"text": "mbili", "lang": "sw"}, "tatu"]
    kept, report = build(rows, Selection(only=("lang", "sw"), min_characters=1), told_by="lang")
    assert [row["text"] for row in kept] == ["moja", "mbili"]
    assert report.dropped == {"not selected": 2}


@pytest.mark.parametrize("given", ["lang", "=sw", "lang="])
def test_a_choice_without_column_or_value_is_refused(given: str) -> None:
    with pytest.raises(ConfigError, match="--keep-language is .* write COLUMN=VALUE"):
        parse_only(given, "--keep-language")


def test_source_and_licence_come_from_columns_flags_or_the_name(build: Callable[..., Any], tmp_path: Path) -> None:
    rows = [{"text": "moja", "source": "voa", "license": "CC0"}, {"text": "mbili", "licence": "CC BY"}, "tatu"]
    kept, _ = build(rows)
    assert [(row["source"], row["licence"]) for row in kept] == [
        ("voa", "CC0"),
        ("raw.jsonl", "CC BY"),
        ("raw.jsonl", None),
    ]
    for file in (tmp_path / "corpora" / "sw").iterdir():
        file.unlink()
    kept, _ = build(rows, Selection(min_characters=1, source="mine", licence="MIT"))
    assert {(row["source"], row["licence"]) for row in kept} == {("mine", "MIT")}


def test_a_source_that_is_no_text_is_shown_as_far_as_it_is(build: Callable[..., Any]) -> None:
    kept, _ = build([{"text": "moja", "source": "caf\udce9"}, {"text": "mbili", "licence": "x\ud83d"}])
    assert (kept[0]["source"], kept[1]["licence"]) == ("caf?", "x?")


def test_shards_are_of_a_bounded_size_and_read_as_a_corpus(
    build: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bistil_ray.data.build._LOOKUP_CHARACTERS", 20)
    monkeypatch.setattr("bistil_ray.data.build._GROUP_CHARACTERS", 100)
    monkeypatch.setattr("bistil_ray.data.build._GROUPS_PER_PART", 3)
    texts = [f"{number:010}" for number in range(95)]
    _, report = build([*texts, *texts])
    files = corpus_files(str(tmp_path / "corpora"), "sw")
    assert [Path(file).name for file in files] == [f"part-0000{number}.parquet" for number in range(4)]
    assert (report.parts, report.kept, report.dropped["duplicate"]) == (4, 95, 95)
    shards = list_shards(files, "text")
    assert [shard.rows for shard in shards] == [10] * 9 + [5]
    assert [t for shard in shards for batch in read_texts(shard, "text", Counter()) for t in batch] == texts


def test_nothing_is_left_behind_when_a_later_input_fails(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("moja\n" * 3)
    (tmp_path / "b.parquet").write_text("no table")
    with pytest.raises(DataError, match="not a Parquet file"):
        build_corpus(find_inputs(str(tmp_path)), Layout(), ANY_LENGTH, tmp_path / "corpora" / "sw")
    assert not (tmp_path / "corpora").exists()


def test_a_corpus_without_a_document_is_refused_with_the_reasons(build: Callable[..., Any], tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no document is left of 3 rows: 2 too short, 1 null"):
        build(["a", "b", None], Selection())
    assert not (tmp_path / "corpora").exists()


def test_a_corpus_that_is_there_is_never_touched(tmp_path: Path) -> None:
    (tmp_path / "sw").mkdir()
    assert corpus_folder(tmp_path, "sw") == tmp_path / "sw"
    (tmp_path / "sw" / "mine.parquet").touch()
    (tmp_path / "yo.parquet").touch()
    (tmp_path / "ha").touch()
    for lang in ("sw", "yo", "ha"):
        with pytest.raises(StorageError, match="exists already"):
            corpus_folder(tmp_path, lang)


def test_progress_hears_of_all_rows_in_the_end(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("moja\nmbili\nmoja\n")
    heard: list[int] = []
    build_corpus(
        find_inputs(str(tmp_path / "a.txt")), Layout(), ANY_LENGTH, tmp_path / "sw", lambda r: heard.append(r.read)
    )
    assert heard[-1] == 3


def test_errors_are_of_one_line(build: Callable[..., Any]) -> None:
    with pytest.raises(DataError, match=r"raw.jsonl has no column 'text' but body \(--column\)$") as caught:
        build([{"body": "a"}])
    assert "\n" not in str(caught.value)
