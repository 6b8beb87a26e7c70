"""Labelled data of tagging tasks: files, sentences and labels, and sentences as batches of ids."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from ..errors import DataError
from .masking import IGNORED
from .parquet import SUFFIX, column_type, explained, inside, is_text, names_in, open_parquet
from .rows import usable_lists

NO_SPAN = "O"
"""The tag of a word outside of every span."""
_PREFIXES = ("B-", "I-")

# Sentences are sorted by length among so many batches.
_POOL_BATCHES = 32


@dataclass(frozen=True)
class TagColumns:
    """Where a tagging task keeps its words and tags; ``spans``: the tags are IOB2 (B-PER, I-PER, O)."""

    tokens: str
    tags: str
    spans: bool


NER = TagColumns("tokens", "ner_tags", spans=True)


@dataclass(frozen=True)
class TaggedSentences:
    """Sentences as words with a tag each, where they come from, and how many rows were left out by reason."""

    words: tuple[tuple[str, ...], ...]
    tags: tuple[tuple[str, ...], ...]
    uri: str
    skipped: Mapping[str, int]

    def __len__(self) -> int:
        return len(self.words)


@dataclass(frozen=True)
class EncodedSentences:
    """Sentences as ids with markers, and per id the index of a label, or ``IGNORED``.

    A word's label sits on its first sub-word. ``lost_words`` counts words cut off or without sub-words.
    """

    input_ids: list[list[int]]
    labels: list[list[int]]
    lost_words: int


def task_files(task_data: str, language: str, *needed: str) -> dict[str, str]:
    """Find ``<task_data>/<language>/<split>.parquet`` and give the file of each split there is.

    DataError if one of the splits ``needed`` is missing: which path was looked for and what is there.
    """
    folder = inside(task_data, language)
    present = names_in(folder)
    files = {
        name.removesuffix(SUFFIX): inside(folder, name)
        for name, is_folder in present.items()
        if name.endswith(SUFFIX) and not is_folder
    }
    for split in needed:
        if split not in files:
            kind, there = "splits", list(files)
            if not files:
                kind, there = (
                    "languages",
                    [name for name, is_folder in names_in(task_data).items() if is_folder],
                )
            raise DataError(
                f"no {split} data for {language!r}: {inside(folder, split + SUFFIX)} does not exist; "
                f"{kind} there: {', '.join(there) or 'none'} (--task-data)"
            )
    return files


def read_tagged(uri: str, columns: TagColumns = NER) -> TaggedSentences:
    """Read labelled sentences.

    Rows that are null, empty, over a megabyte or not valid text are left out and counted. DataError for a
    file that is not Parquet or is damaged, a column that is missing or holds no lists of strings, a row
    with another number of tags than words, a tag that is not IOB2 where ``columns.spans``, and a file
    without a usable row.
    """
    names = [columns.tokens, columns.tags]
    with open_parquet(uri) as file:
        for name in names:
            _check_type(uri, name, column_type(uri, file.schema_arrow, name, "--task-data"))
        with explained(uri):
            table = file.read(names)
    words: list[tuple[str, ...]] = []
    tags: list[tuple[str, ...]] = []
    skipped: Counter[str] = Counter()
    for number, row in usable_lists([table.column(name) for name in names], skipped):
        _check_row(f"{uri}, row {number},", columns, *row)
        words.append(row[0])
        tags.append(row[1])
    if not words:
        reasons = ", ".join(f"{count} {reason}" for reason, count in skipped.items())
        raise DataError(f"{uri} has no usable rows{f': {reasons}' if reasons else ''} (--task-data)")
    return TaggedSentences(tuple(words), tuple(tags), uri, dict(skipped))


def label_set(sentences: TaggedSentences, label_map: Mapping[str, str]) -> tuple[str, ...]:
    """Give the labels that occur, mapped, in alphabetical order: row i of a tagging head belongs to label i.

    The published code orders them so too; ``O`` has no place of its own.
    """
    return tuple(sorted({map_label(tag, label_map) for tags in sentences.tags for tag in tags}))


def map_label(tag: str, label_map: Mapping[str, str]) -> str:
    """Rename a tag: by its whole name, or by its type, so that ``DATE: O`` turns B-DATE and I-DATE into O."""
    if tag in label_map:
        return label_map[tag]
    prefix, kind = tag[:2], tag[2:]
    if prefix in _PREFIXES and kind in label_map:
        new = label_map[kind]
        return new if new == NO_SPAN else prefix + new
    return tag


def map_labels(sentences: TaggedSentences, label_map: Mapping[str, str], labels: Sequence[str]) -> TaggedSentences:
    """Rename every tag by ``label_map``; DataError for a result that is not in ``labels``."""
    found = sorted({tag for tags in sentences.tags for tag in tags})
    renamed = {tag: map_label(tag, label_map) for tag in found}
    for tag, label in renamed.items():
        if label not in labels:
            kind = tag[2:] if tag.startswith(_PREFIXES) else tag
            raise DataError(
                f"{sentences.uri} has the label {label!r}, which the source language's training data "
                f"does not have ({', '.join(labels)}): map it, such as --set label_map.{kind}={NO_SPAN}"
            )
    return replace(sentences, tags=tuple(tuple(renamed[tag] for tag in tags) for tags in sentences.tags))


def encode_words(
    tokenizer: PreTrainedTokenizerFast, sentences: Sequence[Sequence[str]], max_length: int
) -> tuple[list[list[int]], list[list[int]]]:
    """Give each sentence's ids, with markers, at most ``max_length``, and the place of each word in them.

    A word's place is that of its first sub-word, or -1 if it was cut off or has none.
    """
    space = " " if _needs_space(tokenizer) else ""
    batch = tokenizer(
        [[space + word for word in words] for words in sentences],
        is_split_into_words=True,
        truncation=True,
        max_length=max_length,
        return_attention_mask=False,
        return_token_type_ids=False,
    )
    # Otherwise a tokenizer saved later would cut what other programs give it.
    tokenizer.backend_tokenizer.no_truncation()
    places = []
    for index, words in enumerate(sentences):
        first = [-1] * len(words)
        for position, word in reversed(list(enumerate(batch.word_ids(index)))):
            if word is not None:
                first[word] = position
        places.append(first)
    return batch["input_ids"], places


def encode_tagged(
    tokenizer: PreTrainedTokenizerFast, sentences: TaggedSentences, labels: Sequence[str], max_length: int
) -> EncodedSentences:
    """Turn sentences into ids and, on the first sub-word of each word, the index in ``labels`` of its tag."""
    number = {label: index for index, label in enumerate(labels)}
    input_ids, places = encode_words(tokenizer, sentences.words, max_length)
    encoded = [[IGNORED] * len(ids) for ids in input_ids]
    for row, tags, first in zip(encoded, sentences.tags, places, strict=True):
        for tag, position in zip(tags, first, strict=True):
            if position >= 0:
                row[position] = number[tag]
    return EncodedSentences(input_ids, encoded, sum(first.count(-1) for first in places))


def pad_batch(encoded: EncodedSentences, indices: Sequence[int], pad_id: int) -> dict[str, Tensor]:
    """Make a batch of some sentences: input_ids, attention_mask and labels, int64 (B, T), padded."""
    length = max((len(encoded.input_ids[index]) for index in indices), default=1)
    batch = {
        "input_ids": torch.full((len(indices), length), pad_id),
        "attention_mask": torch.zeros((len(indices), length), dtype=torch.int64),
        "labels": torch.full((len(indices), length), IGNORED),
    }
    for row, index in enumerate(indices):
        ids = encoded.input_ids[index]
        batch["input_ids"][row, : len(ids)] = torch.tensor(ids)
        batch["attention_mask"][row, : len(ids)] = 1
        batch["labels"][row, : len(ids)] = torch.tensor(encoded.labels[index])
    return batch


def epoch_batches(lengths: Sequence[int], batch_size: int, seed: int, epoch: int) -> list[list[int]]:
    """Order one epoch: every index once, in batches of similar lengths, shuffled by ``seed`` and ``epoch``.

    All batches are of ``batch_size`` but for one where the numbers do not divide. Sentences are shuffled,
    sorted by length within pools, cut into batches, and the batches shuffled.
    """
    random = np.random.default_rng((seed, epoch))
    order = random.permutation(len(lengths)).tolist()
    batches: list[list[int]] = []
    for start in range(0, len(order), _POOL_BATCHES * batch_size):
        pool = sorted(order[start : start + _POOL_BATCHES * batch_size], key=lengths.__getitem__)
        batches += [pool[first : first + batch_size] for first in range(0, len(pool), batch_size)]
    return [batches[index] for index in random.permutation(len(batches))]


def _check_type(uri: str, name: str, kind: pa.DataType) -> None:
    lists = pa.types.is_list(kind) or pa.types.is_large_list(kind)
    if not lists or not is_text(kind.value_type):
        raise DataError(f"column {name!r} of {uri} holds {kind}, but must hold lists of strings (--task-data)")


def _needs_space(tokenizer: PreTrainedTokenizerFast) -> bool:
    # Byte-level vocabularies keep the space before a word in its first piece; a list of words has lost it.
    split = tokenizer.backend_tokenizer.pre_tokenizer
    if split is None:
        return False
    alone, after_space = (split.pre_tokenize_str(text) for text in ("a", " a"))
    return [piece for piece, _ in alone] != [piece for piece, _ in after_space]


def _check_row(place: str, columns: TagColumns, words: tuple[str, ...], tags: tuple[str, ...]) -> None:
    if len(words) != len(tags):
        raise DataError(f"{place} has {len(words)} {columns.tokens} but {len(tags)} {columns.tags} (--task-data)")
    for tag in tags:
        if columns.spans and tag != NO_SPAN and not (tag.startswith(_PREFIXES) and tag[2:]):
            raise DataError(f"{place} has the tag {tag!r}, which is not IOB2 (O, B-TYPE or I-TYPE) (--task-data)")
