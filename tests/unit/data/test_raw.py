"""Raw data of every format gives the same rows; what is damaged is counted or refused in one line."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bistil_ray.data.raw import Layout, RawInput, Row, find_inputs, read_raw
from bistil_ray.errors import DataError

ROWS = [{"text": "Ọmọ náà ń kọ orin", "source": "slr86"}, {"text": 'wani "abu" mai, kyau', "source": "voa"}]


def read(path: Path | str, layout: Layout | None = None, format: str | None = None) -> tuple[list[Row], Counter[str]]:
    tally: Counter[str] = Counter()
    layout = layout or Layout(others=("source",))
    rows = [row for raw in find_inputs(str(path), format) for row in read_raw(raw, layout, tally)]
    return [{name: v.decode() if isinstance(v, bytes) else v for name, v in row.items()} for row in rows], tally


def refusal(path: Path | str, layout: Layout | None = None, format: str | None = None) -> str:
    with pytest.raises(DataError) as caught:
        read(path, layout, format)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """ROWS as JSONL, CSV, TSV and Parquet."""
    folder = tmp_path / "raw"
    folder.mkdir()
    (folder / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    quoted = ['"{}"'.format(row["text"].replace('"', '""')) + f",{row['source']}\r\n" for row in ROWS]
    (folder / "b.csv").write_text("text,source\r\n" + "".join(quoted), encoding="utf-8-sig")
    (folder / "c.tsv").write_text("text\tsource\n" + "".join(f"{row['text']}\t{row['source']}\n" for row in ROWS))
    table = pa.table({"number": [1, 2], "source": [r["source"] for r in ROWS], "text": [r["text"] for r in ROWS]})
    pq.write_table(table, folder / "d.parquet", row_group_size=1)
    return folder


def test_every_format_gives_the_same_rows(written: Path) -> None:
    for file in sorted(written.iterdir()):
        assert read(file) == (ROWS, Counter()), file
    assert read(written)[0] == ROWS * 4


def test_a_folder_gives_the_files_whose_format_is_known_in_order(written: Path) -> None:
    (written / "README.md").write_text("about")
    (written / ".hidden.txt").write_text("no")
    (written / "sub").mkdir()
    assert [Path(raw.place).name for raw in find_inputs(str(written))] == ["a.jsonl", "b.csv", "c.tsv", "d.parquet"]


def test_a_packed_file_is_read_like_the_one_in_it(written: Path) -> None:
    file = written / "a.jsonl"
    (written / "packed.jsonl.gz").write_bytes(gzip.compress(file.read_bytes()))
    assert read(written / "packed.jsonl.gz") == read(file)


def test_text_files_have_a_document_a_line_or_up_to_a_blank_line(tmp_path: Path) -> None:
    file = tmp_path / "habari.txt"
    file.write_bytes("moja\r\nmbili\n\n \t\n\ntatu".encode("utf-8-sig"))
    assert [row["text"] for row in read(file)[0]] == ["moja", "mbili", "", " \t", "", "tatu"]
    assert [row["text"] for row in read(file, Layout(by_blank_line=True))[0]] == ["moja\nmbili", "tatu"]


def test_a_line_without_end_is_read_in_part_and_the_next_one_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bistil_ray.data.raw._LONGEST_LINE", 10)
    file = tmp_path / "long.txt"
    file.write_text("x" * 35 + "\n123456789\nlast")
    assert [row["text"] for row in read(file)[0]] == ["x" * 10, "123456789", "last"]


def test_a_document_over_many_lines_is_gathered_no_further_than_its_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bistil_ray.data.raw.MAX_TEXT_BYTES", 10)
    file = tmp_path / "long.txt"
    file.write_text("abcd\n" * 100 + "\nnext")
    rows = [row["text"] for row in read(file, Layout(by_blank_line=True))[0]]
    assert rows == ["abcd\nabcd\nabcd", "next"]


def test_lines_that_are_no_json_objects_are_counted(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_bytes(b'{"text": "moja"}\n\n{"text": "mbi\n["text"]\n\xff\n' + b"[" * 100_000 + b'\n{"id": 7}\n')
    assert read(file) == ([{"text": "moja"}, {"id": 7}], Counter({"not JSON": 4}))


def test_a_quote_left_open_is_refused_with_its_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bistil_ray.data.raw._LONGEST_LINE", 1000)
    file = tmp_path / "a.csv"
    file.write_text('text\n"open\n' + "more\n" * 1000)
    assert "is a quote left open?" in refusal(file)


def test_missing_columns_are_refused_in_every_format(written: Path) -> None:
    for file in sorted(written.iterdir()):
        message = refusal(file, Layout(text="body"))
        assert "has no column 'body' but" in message and "source" in message and "(--column)" in message
        assert "has no column 'lang' but" in (wrong := refusal(file, Layout(told_by="lang")))
        assert "(--keep-language)" in wrong
    assert "holds int64, but must hold strings" in refusal(written / "d.parquet", Layout(text="number"))


def test_unknown_names_and_places_are_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.md").write_text("a document\n")
    assert "--format (allowed: text, jsonl" in refusal(tmp_path / "notes.md")
    assert "name the format (--format)" in refusal(tmp_path)
    assert read(tmp_path / "notes.md", format="text")[0] == [{"text": "a document"}]
    assert "no file or folder of files at" in refusal(tmp_path / "gone")
    assert "no file or folder of files at 'data/gone.txt'" in refusal("data/gone.txt")


def test_names_of_hub_data_sets_are_told_from_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    hub = [RawInput("org/news", "hub")]
    assert find_inputs("hf://datasets/org/news") == find_inputs("org/news") == hub
    (tmp_path / "org" / "news").mkdir(parents=True)
    (tmp_path / "org" / "news" / "a.txt").touch()
    assert find_inputs("org/news") == [RawInput("org/news/a.txt", "text")]
    assert find_inputs("org/news", "hub") == hub


def test_a_hub_data_set_is_streamed_by_subset_and_split(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The library reads a folder as it reads a repository of the hub.
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "cache"))
    for subset, split, rows in (("sw", "train", ROWS), ("sw", "test", ROWS[:1]), ("yo", "train", ROWS[1:])):
        file = tmp_path / "org" / "news" / subset / f"{split}.jsonl"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("".join(json.dumps(row | {"id": 1}) + "\n" for row in rows))
    configs = "".join(f"- config_name: {name}\n  data_dir: {name}\n" for name in ("sw", "yo"))
    (tmp_path / "org" / "news" / "README.md").write_text(f"---\nconfigs:\n{configs}---\n")

    def hub(subset: str | None, split: str = "train", text: str = "text") -> tuple[list[Row], Counter[str]]:
        return read("org/news", Layout(text, others=("source",), subset=subset, split=split), "hub")

    assert hub("sw")[0] == ROWS
    assert hub("sw", "test")[0] == ROWS[:1]
    assert hub("yo")[0] == ROWS[1:]
    for wrong in ({"subset": "ha"}, {"subset": "sw", "split": "dev"}, {"subset": None}):
        with pytest.raises(DataError, match=r"'org/news' .*cannot be read: .*\(--subset, --split\)$"):
            hub(**wrong)
    with pytest.raises(DataError, match="no column 'body' but"):
        hub("sw", text="body")
