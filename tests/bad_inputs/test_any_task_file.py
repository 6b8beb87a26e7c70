"""A file of any kind, given as labelled data, is examples that a model can learn from, or is refused in one line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import strategies as st

from bistil_ray.data.examples import read_examples
from bistil_ray.errors import DataError
from bistil_ray.models.loading import load_tokenizer
from bistil_ray.tasks.registry import TASKS

Each = Callable[..., None]

words = st.sampled_from(
    [
        "Amina",
        "came",
        "",
        " ",
        "\n",
        "a b",
        "\0",
        "\x1b[31m",
        "\u2028",
        "\u200b",
        "😀",
        "[MASK]",
        "[SEP]",
        "ﷺ",
        "x" * 700,
    ]
) | st.text(max_size=6)
tags = st.sampled_from(
    ["O", "B-PER", "I-PER", "B-LOC", "O", "I-LOC", "PER", "B-", "b-per", "", "B-PER-X", "o", "E-PER", "O "]
)
relations = st.sampled_from(["root", "nsubj", "nsubj:pass", ":x", "", "obj", "dep", "\x1b[0m"])
labels = st.sampled_from(["yes", "no", "maybe", "", "\u2028", "</script>", "yes "]) | st.none()
heads = st.integers(-1, 5) | st.sampled_from([2**62, -(2**62)])


def rows_of(**columns: st.SearchStrategy[Any]) -> st.SearchStrategy[list[dict[str, Any]]]:
    return st.lists(st.fixed_dictionaries(columns), max_size=5)


def lists(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(inner, max_size=4)


def sometimes(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Values with, now and then, none, or one of another kind."""
    return st.integers(0, 19).flatmap(lambda chance: values if chance else st.sampled_from([None, [None], [], [""]]))


def alike(words: Any, *others: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Any, ...]]:
    """Lists of one length, as they are in most files."""
    many = st.integers(0, 4)
    return many.flatmap(lambda n: st.tuples(*(st.lists(inner, min_size=n, max_size=n) for inner in (words, *others))))


@st.composite
def parsed(draw: st.DrawFn) -> dict[str, Any]:
    form, head, relation = draw(
        alike(words, heads, relations) | st.tuples(lists(words), lists(heads), lists(relations))
    )
    return {"form": form, "head": draw(st.just(head) | st.sampled_from([None, [None], []])), "deprel": relation}


@st.composite
def tagged(draw: st.DrawFn, column: str) -> dict[str, Any]:
    tokens, found = draw(alike(words, tags) | st.tuples(lists(words), lists(tags)))
    return {"tokens": draw(sometimes(st.just(tokens))), column: found}


@st.composite
def asked(draw: st.DrawFn) -> dict[str, Any]:
    context = draw(
        st.sampled_from(["Amina came from Mombasa.", "", " ", "a\u0301 b", "\x00", "x" * 400, "😀 sings"])
        | st.text(max_size=9)
    )
    start = draw(st.integers(-2, len(context) + 2))
    text = draw(st.just(context[max(0, start) : start + draw(st.integers(0, 9))]) | st.sampled_from(["", " ", "Amina"]))
    answers = draw(sometimes(st.just({"text": [text], "answer_start": [start]})))
    if not isinstance(answers, dict | None):
        answers = {"text": answers, "answer_start": []}
    return {"context": context, "question": draw(words), "answers": answers}


ROWS = {
    "ner": st.lists(tagged("ner_tags"), max_size=5),
    "pos": st.lists(tagged("upos"), max_size=5),
    "dep": st.lists(parsed(), max_size=5),
    "nli": rows_of(premise=words | st.none(), hypothesis=words, label=labels),
    "qa": st.lists(asked(), max_size=4),
    "topic": rows_of(text=words, label=labels),
    "sentiment": rows_of(text=words | st.none(), label=labels),
}
KINDS = {
    "text": pa.string(),
    "texts": pa.list_(pa.string()),
    "numbers": pa.list_(pa.int64()),
    "answers": pa.struct([("text", pa.list_(pa.string())), ("answer_start", pa.list_(pa.int64()))]),
}


@pytest.fixture(scope="module")
def tokenizers(bert_folder: Path, xlmr_folder: Path) -> list[Any]:
    return [load_tokenizer(bert_folder), load_tokenizer(xlmr_folder)]


@pytest.mark.parametrize("name", TASKS)
def test_any_rows(each: Each, tokenizers: list[Any], tmp_path: Path, name: str) -> None:
    task, file = TASKS[name], tmp_path / "any.parquet"

    def judge(rows: list[dict[str, Any]]) -> None:
        schema = pa.schema([(column, KINDS[kind]) for column, kind in task.columns.items()])
        pq.write_table(pa.Table.from_pylist(rows, schema), file)
        try:
            examples = read_examples(str(file), task.columns)
            task.check(examples)
            labels = task.labels(examples, {})
            examples = task.relabel(examples, {}, labels)
        except DataError as refusal:
            assert len(str(refusal).splitlines()) == 1 and str(file) in str(refusal), refusal
            return
        assert len(examples) + sum(examples.skipped.values()) == len(rows)
        assert all(labels) and len(set(labels)) == len(labels)
        for tokenizer in tokenizers:
            features = task.encode(examples, tokenizer, labels, 16)
            assert len(features) >= len(examples)
            assert all(0 < len(row["input_ids"]) <= 16 for row in features)

    each(ROWS[name], judge, cases=250)


strange = st.sampled_from(
    [
        pa.int8(),
        pa.float64(),
        pa.string(),
        pa.binary(),
        pa.list_(pa.int32()),
        pa.list_(pa.list_(pa.string())),
        pa.null(),
        pa.struct([("text", pa.string())]),
        pa.bool_(),
        pa.list_(pa.null()),
        pa.large_list(pa.large_string()),
        pa.list_(pa.uint64()),
        pa.struct([("text", pa.list_(pa.string())), ("answer_start", pa.list_(pa.uint64()))]),
        pa.map_(pa.string(), pa.int32()),
        pa.dictionary(pa.int32(), pa.string()),
        pa.list_(pa.string(), 2),
    ]
)
cells = st.none() | st.integers(-3, 3) | words | lists(words) | lists(st.integers()) | st.floats() | lists(st.none())


@pytest.mark.parametrize("name", TASKS)
def test_any_columns(each: Each, tmp_path: Path, name: str) -> None:
    task, file = TASKS[name], tmp_path / "any.parquet"
    columns = st.lists(
        st.tuples(st.sampled_from([*task.columns, "other"]), strange, st.lists(cells, max_size=3)), max_size=4
    )

    def judge(wanted: list[tuple[str, pa.DataType, list[Any]]]) -> None:
        arrays = [(column, made(values, kind)) for column, kind, values in wanted]
        rows = min((len(array) for _, array in arrays), default=0)
        pq.write_table(pa.Table.from_arrays([a[:rows] for _, a in arrays], [column for column, _ in arrays]), file)
        try:
            task.check(read_examples(str(file), task.columns))
        except DataError as refusal:
            assert len(str(refusal).splitlines()) == 1, refusal

    each(columns, judge, cases=100)


def made(values: list[Any], kind: pa.DataType) -> pa.Array:
    """An array of the values that fit the type, the others null."""
    return pa.concat_arrays([_one(value, kind) for value in values]) if values else pa.array([], kind)


def _one(value: Any, kind: pa.DataType) -> pa.Array:
    if pa.types.is_map(kind) or pa.types.is_dictionary(kind):
        return pa.nulls(1, kind)
    try:
        return pa.array([value], kind)
    except (pa.ArrowException, OverflowError, ValueError, TypeError):
        return pa.nulls(1, kind)
