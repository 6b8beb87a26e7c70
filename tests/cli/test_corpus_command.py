"""``bistil-ray corpus`` builds corpora that a sweep reads and says what is in them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

Bistil = Callable[..., tuple[int, str, str]]
Refused = Callable[..., str]


@pytest.fixture
def raw(tmp_path: Path, toy_texts: dict[str, list[str]]) -> Path:
    """A folder of text and JSONL in Swahili, with an English line and a repeated one."""
    folder = tmp_path / "raw"
    folder.mkdir()
    texts = toy_texts["sw"]
    (folder / "a.txt").write_text("\n".join([*texts, "fupi"]) + "\n")
    rows = [{"text": texts[0], "lang": "sw"}, {"text": toy_texts["en"][0], "lang": "en"}]
    (folder / "b.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def test_what_is_built_is_a_corpus_and_the_report_adds_up(bistil: Bistil, raw: Path, tmp_path: Path) -> None:
    words = ("corpus", "build", str(raw), "--lang", "swh", "--out", str(tmp_path / "out"), "--licence", "CC0")
    code, out, err = bistil(*words, "--json")
    assert (code, err) == (0, "")
    report = json.loads(out)
    assert (report["read"], report["kept"], report["parts"]) == (8, 6, 1)
    assert report["dropped"] == {"too short": 1, "duplicate": 1}
    rows = pq.read_table(tmp_path / "out" / "sw" / "part-00000.parquet").to_pylist()
    assert [row["source"] for row in rows] == ["a.txt"] * 5 + ["b.jsonl"]
    assert {row["licence"] for row in rows} == {"CC0"}
    assert report["characters"] == sum(len(row["text"]) for row in rows)
    assert report["words"] == sum(len(row["text"].split()) for row in rows)


def test_the_report_is_a_table_without_json(bistil: Bistil, raw: Path, tmp_path: Path) -> None:
    code, out, _ = bistil("corpus", "build", str(raw / "a.txt"), "--lang", "sw", "--out", str(tmp_path / "out"))
    assert code == 0
    lines = [line.split() for line in out.splitlines()]
    assert ["rows", "read", "6"] in lines
    assert ["dropped:", "too", "short", "1"] in lines
    assert ["documents", "kept", "5"] in lines


def test_rows_of_another_language_are_left_out_where_a_column_tells(bistil: Bistil, raw: Path, tmp_path: Path) -> None:
    words = ("corpus", "build", str(raw / "b.jsonl"), "--lang", "sw", "--out", str(tmp_path / "out"))
    _, out, _ = bistil(*words, "--keep-language", "lang=sw", "--json")
    assert json.loads(out)["dropped"] == {"not selected": 1}


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (("{raw}", "--lang", "swahli"), "unknown language 'swahli' in --lang"),
        (("{raw}/gone.txt", "--lang", "sw"), "no file or folder of files"),
        (("{raw}", "--lang", "sw", "--column", "body"), "has no column 'body' but text, lang (--column)"),
        (("{raw}", "--lang", "sw", "--format", "xml"), "--format is 'xml': must be one of"),
        (("{raw}", "--lang", "sw", "--keep-language", "sw"), "write COLUMN=VALUE"),
        (("{raw}", "--lang", "sw", "--keep-language", "lang=sw"), "a.txt has no column 'lang' but text"),
        (("{raw}", "--lang", "sw", "--min-characters", "999"), "no document is left of 8 rows: 8 too short"),
        (("{raw}", "--lang", "en"), "exists already"),
    ],
)
def test_mistakes_are_refused_and_nothing_is_written(
    refused: Refused, raw: Path, tmp_path: Path, flags: tuple[str, ...], says: str
) -> None:
    # The toy run has corpora in en and sw as single files; mistakes are looked for in another folder.
    out = tmp_path / ("corpora" if "en" in flags else "out")
    command = ("corpus", "build", *(flag.format(raw=raw) for flag in flags), "--out", str(out))
    assert says in refused(command=command)


def test_check_prints_a_table_and_the_warnings(bistil: Bistil, toy_settings: dict[str, Any]) -> None:
    words = ("corpus", "check", toy_settings["corpora"], "--langs", "sw", "--teacher", toy_settings["teachers"][0])
    code, out, err = bistil(*words)
    assert (code, err) == (0, "")
    lines = [line.split() for line in out.splitlines()]
    assert lines[0] == ["sw", "en"]
    assert ["rows", "5", "5"] in lines
    assert ["rows", "that", "read", "like", "en", "0", "-"] in lines
    assert ["unknown", "tokens", "0.00%", "0.00%"] in lines


def test_check_gives_all_as_json(bistil: Bistil, toy_settings: dict[str, Any]) -> None:
    code, out, _ = bistil("corpus", "check", toy_settings["corpora"], "--langs", "sw,en", "--json")
    assert code == 0
    swahili, english = json.loads(out)
    assert (swahili["lang"], english["lang"]) == ("sw", "en")
    assert swahili["scripts"] == {"LATIN": 1.0}
    assert swahili["foreign"] == {"en": 0}
    assert "tokens" not in swahili


def test_check_works_without_the_source_and_says_so(bistil: Bistil, toy_settings: dict[str, Any]) -> None:
    code, out, err = bistil("corpus", "check", toy_settings["corpora"], "--langs", "sw", "--source", "fr")
    assert code == 0
    assert "No corpus of the source language fr" in err
    assert "read like" not in out


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (("--langs", "ha"), "no corpus for language 'ha'"),
        (("--langs", "sw", "--teacher", "no/such/folder"), "--teacher 'no/such/folder': no such folder"),
        (("--langs", "sw", "--column", "body"), "has no column 'body' but text"),
    ],
)
def test_check_refuses_what_is_not_there(
    refused: Refused, toy_settings: dict[str, Any], flags: tuple[str, ...], says: str
) -> None:
    assert says in refused(command=("corpus", "check", toy_settings["corpora"], *flags))
