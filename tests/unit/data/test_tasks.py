"""Labelled data: bad files are refused, bad rows skipped, and labels land on the first sub-word of the right word."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerFast

from bistil_ray.data.masking import IGNORED
from bistil_ray.data.tasks import (
    EncodedSentences,
    TagColumns,
    TaggedSentences,
    encode_tagged,
    encode_words,
    epoch_batches,
    label_set,
    map_labels,
    pad_batch,
    read_tagged,
    task_files,
)
from bistil_ray.errors import DataError

LABELS = ("B-PER", "I-PER", "O")


def sentences(*pairs: tuple[str, str]) -> TaggedSentences:
    words, tags = (tuple(tuple(pair[side].split()) for pair in pairs) for side in (0, 1))
    return TaggedSentences(words, tags, "train.parquet", {})


def write(path: Path, **columns: object) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path)
    return str(path)


def refusal(call: Callable[[], object]) -> str:
    with pytest.raises(DataError) as caught:
        call()
    assert "\n" not in str(caught.value)
    return str(caught.value)


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


def test_sentences_are_read_as_they_are(tmp_path: Path) -> None:
    path = write(
        tmp_path / "test.parquet",
        tokens=[["Ọmọ", "Àdé", ""], ["wa"]],
        id=[1, 2],
        ner_tags=[["O", "B-PER", "I-PER"], ["O"]],
    )
    read = read_tagged(path)
    assert read.words == (("Ọmọ", "Àdé", ""), ("wa",)) and read.tags == (("O", "B-PER", "I-PER"), ("O",))
    assert len(read) == 2 and read.skipped == {} and read.uri == path


def test_other_column_pairs_are_read_alike(tmp_path: Path) -> None:
    path = write(tmp_path / "test.parquet", tokens=[["a", "b"]], upos=[["NOUN", "B"]])
    assert read_tagged(path, TagColumns("tokens", "upos", spans=False)).tags == (("NOUN", "B"),)


def test_bad_rows_are_skipped_and_counted(tmp_path: Path) -> None:
    binary = pa.array(
        [[b"ok"], None, [None], [], [b"\xff"], [b"x" * 1_000_001], [b"a\0"], [b"ok"]], pa.list_(pa.binary())
    )
    tags = [["O"], ["O"], ["O"], [], ["O"], ["O"], ["O"], None]
    values = binary.values
    text = pa.Array.from_buffers(pa.string(), len(values), values.buffers(), values.null_count)
    tokens = pa.ListArray.from_arrays(binary.offsets, text, mask=binary.is_null())
    read = read_tagged(write(tmp_path / "test.parquet", tokens=tokens, ner_tags=pa.array(tags, pa.list_(pa.string()))))
    assert read.words == (("ok",),)
    assert read.skipped == {"null": 3, "empty": 1, "not valid text": 2, "too long": 1}


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"words": [["a"]], "ner_tags": [["O"]]}, "no column 'tokens' but words, ner_tags"),
        ({"tokens": [["a"]]}, "no column 'ner_tags' but tokens"),
        ({"tokens": ["a"], "ner_tags": [["O"]]}, "must hold lists of strings"),
        ({"tokens": [["a"]], "ner_tags": [[3]]}, "column 'ner_tags'"),
        ({"tokens": [["a"], ["a", "b"]], "ner_tags": [["O"], ["O"]]}, "row 1, has 2 tokens but 1 ner_tags"),
        ({"tokens": [["a"]], "ner_tags": [["PER"]]}, "row 0, has the tag 'PER', which is not IOB2"),
        ({"tokens": [["a"]], "ner_tags": [["B-"]]}, "not IOB2"),
        ({"tokens": [["a"]], "ner_tags": [["E-PER"]]}, "not IOB2"),
        ({"tokens": [["a"]], "ner_tags": [[""]]}, "not IOB2"),
        (
            {"tokens": pa.array([], pa.list_(pa.string())), "ner_tags": pa.array([], pa.list_(pa.string()))},
            "no usable rows",
        ),
        ({"tokens": pa.array([None], pa.list_(pa.string())), "ner_tags": [["O"]]}, "no usable rows: 1 null"),
    ],
)
def test_files_that_hold_something_else_are_refused(columns: dict[str, object], said: str, tmp_path: Path) -> None:
    path = write(tmp_path / "test.parquet", **columns)
    message = refusal(lambda: read_tagged(path))
    assert path in message and said in message


def test_files_that_are_not_parquet_are_refused(tmp_path: Path) -> None:
    whole = Path(write(tmp_path / "whole.parquet", tokens=[["a"]] * 50, ner_tags=[["O"]] * 50)).read_bytes()
    for content in (b"", b"tokens,ner_tags", whole[:-20]):
        (tmp_path / "test.parquet").write_bytes(content)
        assert "not a Parquet file, or is truncated" in refusal(lambda: read_tagged(str(tmp_path / "test.parquet")))


def test_labels_are_in_alphabetical_order() -> None:
    data = sentences(("a b c", "O B-PER I-PER"), ("a b", "B-LOC B-DATE"))
    assert label_set(data, {}) == ("B-DATE", "B-LOC", "B-PER", "I-PER", "O")
    assert label_set(data, {"DATE": "O", "LOC": "PLACE"}) == ("B-PER", "B-PLACE", "I-PER", "O")


def test_labels_are_mapped_by_type_or_by_name() -> None:
    data = sentences(("a b c d e", "B-DATE I-DATE B-PER I-PER O"))
    mapped = map_labels(data, {"DATE": "O", "I-PER": "B-PER"}, LABELS)
    assert mapped.tags == (("O", "O", "B-PER", "B-PER", "O"),)
    assert mapped.words == data.words and data.tags[0][0] == "B-DATE"
    assert map_labels(sentences(("a", "INTJ")), {"INTJ": "X"}, ("X",)).tags == (("X",),)


def test_a_label_unknown_to_the_source_is_refused() -> None:
    message = refusal(lambda: map_labels(sentences(("a b", "O B-DATE")), {}, LABELS))
    assert "train.parquet has the label 'B-DATE'" in message and "B-PER, I-PER, O" in message
    assert "--set label_map.DATE=O" in message


def test_labels_stand_on_first_sub_words(tokenizer: PreTrainedTokenizerFast) -> None:
    encoded = encode_tagged(tokenizer, sentences(("inawaƙa ọmọde kọ.", "B-PER O I-PER")), LABELS, 20)
    assert tokenizer.convert_ids_to_tokens(encoded.input_ids[0]) == (
        ["[CLS]", "ina", "##waƙa", "ọmọ", "##de", "kọ", ".", "[SEP]"]
    )
    assert encoded.labels == [[IGNORED, 0, IGNORED, 2, IGNORED, 1, IGNORED, IGNORED]]
    assert encoded.lost_words == 0


def test_words_without_sub_words_are_lost_without_harm(tokenizer: PreTrainedTokenizerFast) -> None:
    words = (("", "wa", "\u200b", "kọ"), ("", ""))
    data = TaggedSentences(words, (("B-PER", "I-PER", "O", "O"), ("O", "O")), "", {})
    encoded = encode_tagged(tokenizer, data, LABELS, 20)
    assert encoded.labels == [[IGNORED, 1, 2, IGNORED], [IGNORED, IGNORED]]
    assert encoded.lost_words == 4


def test_words_beyond_the_maximal_length_are_lost(tokenizer: PreTrainedTokenizerFast) -> None:
    encoded = encode_tagged(tokenizer, sentences(("wa " * 9, "O " * 9), ("wa", "O")), LABELS, 6)
    assert [len(ids) for ids in encoded.input_ids] == [6, 3]
    assert encoded.lost_words == 5


def test_a_word_is_split_as_in_running_text_by_byte_level_vocabularies(
    byte_level_tokenizer: PreTrainedTokenizerFast,
) -> None:
    running = byte_level_tokenizer(" hello world")["input_ids"]
    ids, places = encode_words(byte_level_tokenizer, [["hello", "world"]], 20)
    assert ids == [running] and places[0][1] == running.index(byte_level_tokenizer.convert_tokens_to_ids("Ġworld"))


@pytest.mark.parametrize("family", ["bert_folder", "xlmr_folder"])
def test_words_keep_their_places_in_every_family(
    family: str, toy_texts: dict[str, list[str]], request: pytest.FixtureRequest
) -> None:
    from bistil_ray.models.families import load_tokenizer

    tokenizer = load_tokenizer(request.getfixturevalue(family))
    texts = [text.split() for text in toy_texts["sw"]]
    ids, places = encode_words(tokenizer, texts, 100)
    for words, row, first in zip(texts, ids, places, strict=True):
        assert first[0] == 1 and first == sorted(first)
        pieces = [row[start:end] for start, end in zip(first, [*first[1:], len(row) - 1], strict=True)]
        assert pieces == [tokenizer(word, add_special_tokens=False)["input_ids"] for word in words]


def test_batches_are_padded_at_the_end() -> None:
    encoded = EncodedSentences(
        [[2, 5, 3], [2, 3], [2, 5, 6, 3]], [[IGNORED, 1, IGNORED], [IGNORED] * 2, [IGNORED, 0, 1, IGNORED]], 0
    )
    batch = pad_batch(encoded, [2, 0], pad_id=9)
    assert batch["input_ids"].tolist() == [[2, 5, 6, 3], [2, 5, 3, 9]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 1], [1, 1, 1, 0]]
    assert batch["labels"].tolist() == [[IGNORED, 0, 1, IGNORED], [IGNORED, 1, IGNORED, IGNORED]]
    assert all(tensor.dtype == torch.int64 for tensor in batch.values())


@settings(deadline=None)
@given(
    st.lists(st.integers(1, 60), min_size=1, max_size=500), st.integers(1, 9), st.integers(0, 2**32), st.integers(0, 99)
)
def test_an_epoch_holds_every_sentence_once_in_full_batches(
    lengths: list[int], size: int, seed: int, epoch: int
) -> None:
    batches = epoch_batches(lengths, size, seed, epoch)
    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    full, rest = divmod(len(lengths), size)
    assert Counter(map(len, batches)) == Counter({size: full}) + Counter({rest: 1} if rest else {})
    assert epoch_batches(lengths, size, seed, epoch) == batches


def test_batches_hold_similar_lengths_in_another_order_each_epoch() -> None:
    lengths = [1 + number % 50 for number in range(1000)]
    first, second, other = (epoch_batches(lengths, 8, seed, epoch) for seed, epoch in ((0, 0), (0, 1), (1, 0)))
    assert first != second and first != other
    padded = sum(len(batch) * max(lengths[index] for index in batch) for batch in first)
    assert padded < 1.1 * sum(lengths)
    assert [lengths[batch[0]] for batch in first] != sorted(lengths[batch[0]] for batch in first)


def test_real_named_entities_fit_the_labels_of_english(shared: Path) -> None:
    place = str(shared / "data" / "ner")
    labels = label_set(read_tagged(task_files(place, "en", "validation")["validation"]), {})
    assert labels == ("B-LOC", "B-ORG", "B-PER", "I-LOC", "I-ORG", "I-PER", "O")
    for lang in ("sw", "yo", "ha"):
        data = read_tagged(task_files(place, lang, "test")["test"])
        assert not data.skipped and "B-DATE" in label_set(data, {})
        assert set(label_set(map_labels(data, {"DATE": "O"}, labels), {})) == set(labels)
