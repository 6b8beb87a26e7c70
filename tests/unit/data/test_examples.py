"""Labelled data: files are found or their absence explained, bad files are refused, bad rows skipped and counted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bistil_ray.data.examples import read_examples, task_files
from bistil_ray.errors import DataError

TAGGED = {"tokens": "texts", "ner_tags": "texts"}
STRINGS, INTEGERS = pa.list_(pa.string()), pa.list_(pa.int32())


def write(path: Path, **columns: object) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path)
    return str(path)


def refusal(call: Callable[[], object]) -> str:
    with pytest.raises(DataError) as caught:
        call()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def strings_of(rows: list[bytes]) -> pa.Array:
    values = pa.array(rows, pa.binary())
    return pa.Array.from_buffers(pa.string(), len(values), values.buffers(), values.null_count)


def test_every_split_there_is_is_found(tmp_path: Path) -> None:
    paths = {split: write(tmp_path / "sw" / f"{split}.parquet", x=[1]) for split in ("test", "train")}
    (tmp_path / "sw" / "notes.txt").touch()
    assert task_files(str(tmp_path), "sw", "test") == paths
    assert task_files(str(tmp_path), "ha") == {}


def test_a_missing_split_names_the_path_and_what_is_there(tmp_path: Path) -> None:
    write(tmp_path / "sw" / "train.parquet", x=[1])
    message = refusal(lambda: task_files(str(tmp_path), "sw", "train", "test"))
    assert f"{tmp_path}/sw/test.parquet does not exist; splits there: train (--task-data)" in message
    assert "languages there: sw (--task-data)" in refusal(lambda: task_files(str(tmp_path), "yo", "test"))
    assert "languages there: none" in refusal(lambda: task_files(f"{tmp_path}/gone", "yo", "test"))


def test_values_are_read_as_they_are(tmp_path: Path) -> None:
    path = write(
        tmp_path / "test.parquet",
        id=[1, 2],
        text=["  Ọmọ\n", "wa"],
        tokens=[["Ọmọ", "Àdé", ""], ["wa"]],
        head=pa.array([[2, 0, -1], [0]], INTEGERS),
        answers=[
            {"answer_start": [2, 5], "text": ["mọ", " b "], "kind": "long"},
            {"answer_start": [], "text": [], "kind": ""},
        ],
    )
    read = read_examples(path, {"text": "text", "tokens": "texts", "head": "numbers", "answers": "answers"})
    assert read.columns == {
        "text": ("  Ọmọ\n", "wa"),
        "tokens": (("Ọmọ", "Àdé", ""), ("wa",)),
        "head": ((2, 0, -1), (0,)),
        "answers": ((("mọ", " b "), (2, 5)), ((), ())),
    }
    assert len(read) == 2 and read.skipped == {} and read.uri == path
    assert list(read.rows("head", "text")) == [((2, 0, -1), "  Ọmọ\n"), ((0,), "wa")]


def test_lists_that_may_be_longer_than_usual_are_read_alike(tmp_path: Path) -> None:
    path = write(
        tmp_path / "test.parquet",
        tokens=pa.array([["a"]], pa.large_list(pa.large_string())),
        head=pa.array([[0]], pa.large_list(pa.int64())),
    )
    assert read_examples(path, {"tokens": "texts", "head": "numbers"}).columns == {"tokens": (("a",),), "head": ((0,),)}


def test_bad_rows_are_skipped_and_counted(tmp_path: Path) -> None:
    binary = pa.array(
        [[b"ok"], None, [None], [], [b"\xff"], [b"x" * 1_000_001], [b"a\0"], [b"ok"]], pa.list_(pa.binary())
    )
    tags = [["O"], ["O"], ["O"], [], ["O"], ["O"], ["O"], None]
    text = strings_of(binary.values.to_pylist())
    tokens = pa.ListArray.from_arrays(binary.offsets, text, mask=binary.is_null())
    path = write(tmp_path / "test.parquet", tokens=tokens, ner_tags=pa.array(tags, STRINGS))
    read = read_examples(path, TAGGED)
    assert read.columns["tokens"] == (("ok",),)
    assert read.skipped == {"null": 3, "empty": 1, "not valid text": 2, "too long": 1}


def test_a_blank_text_spoils_its_row(tmp_path: Path) -> None:
    path = write(
        tmp_path / "test.parquet",
        premise=strings_of([b"a", b" \n", b"c", b"\xff", b"e"]),
        hypothesis=["a", "b", None, "d", ""],
    )
    read = read_examples(path, {"premise": "text", "hypothesis": "text"})
    assert list(read.rows("premise", "hypothesis")) == [("a", "a")]
    assert read.skipped == {"empty": 2, "null": 1, "not valid text": 1}


def test_an_example_knows_which_row_of_the_file_it_was(tmp_path: Path) -> None:
    path = write(tmp_path / "test.parquet", text=["", "a", None, "b"])
    read = read_examples(path, {"text": "text"})
    assert [read.place(index) for index in range(len(read))] == [f"{path}, row 1,", f"{path}, row 3,"]


def test_nulls_inside_a_value_spoil_its_row(tmp_path: Path) -> None:
    answers = [
        {"text": ["a"], "answer_start": [0]},
        None,
        {"text": None, "answer_start": [0]},
        {"text": ["a"], "answer_start": None},
        {"text": ["a"], "answer_start": [None]},
        {"text": [None], "answer_start": [0]},
        {"text": ["a"], "answer_start": [0]},
    ]
    heads = pa.array([[1]] * 6 + [[None]], INTEGERS)
    read = read_examples(
        write(tmp_path / "test.parquet", answers=answers, head=heads), {"answers": "answers", "head": "numbers"}
    )
    assert len(read) == 1 and read.skipped == {"null": 6}


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"words": [["a"]], "ner_tags": [["O"]]}, "no column 'tokens' but words, ner_tags"),
        ({"tokens": [["a"]]}, "no column 'ner_tags' but tokens"),
        ({"tokens": ["a"], "ner_tags": [["O"]]}, "column 'tokens'"),
        ({"tokens": [["a"]], "ner_tags": [[3]]}, "must hold lists of strings"),
        ({"tokens": pa.array([], STRINGS), "ner_tags": pa.array([], STRINGS)}, "no usable rows"),
        ({"tokens": pa.array([None], STRINGS), "ner_tags": [["O"]]}, "no usable rows: 1 null"),
    ],
)
def test_files_that_hold_something_else_are_refused(columns: dict[str, object], said: str, tmp_path: Path) -> None:
    path = write(tmp_path / "test.parquet", **columns)
    message = refusal(lambda: read_examples(path, TAGGED))
    assert path in message and said in message


@pytest.mark.parametrize(
    ("kind", "column", "said"),
    [
        ("text", [["a"]], "must hold strings"),
        ("text", [1], "holds int64, but must hold strings"),
        ("numbers", [[0.5]], "must hold lists of integers"),
        ("numbers", [1], "must hold lists of integers"),
        ("numbers", pa.array([[2**63]], pa.list_(pa.uint64())), "cannot be read"),
        ("answers", ["a"], "must hold structs of the lists text and answer_start"),
        ("answers", [["a"]], "must hold structs"),
        ("answers", [{"text": ["a"]}], "must hold structs"),
        ("answers", [{"text": "a", "answer_start": 0}], "must hold structs"),
        ("answers", [{"text": ["a"], "answer_start": ["0"]}], "must hold structs"),
        ("answers", [[{"text": "a", "answer_start": 0}]], "must hold structs"),
    ],
)
def test_columns_of_another_kind_are_refused(kind: str, column: object, said: str, tmp_path: Path) -> None:
    path = write(tmp_path / "test.parquet", it=column)
    message = refusal(lambda: read_examples(path, {"it": kind}))
    assert path in message and said in message


def test_files_that_are_not_parquet_are_refused(tmp_path: Path) -> None:
    whole = Path(write(tmp_path / "whole.parquet", tokens=[["a"]] * 50, ner_tags=[["O"]] * 50)).read_bytes()
    for content in (b"", b"tokens,ner_tags", whole[:-20]):
        (tmp_path / "test.parquet").write_bytes(content)
        message = refusal(lambda: read_examples(str(tmp_path / "test.parquet"), TAGGED))
        assert "not a Parquet file, or is truncated" in message
