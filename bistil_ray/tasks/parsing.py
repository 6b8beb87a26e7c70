"""Dependency parsing: a head and a relation for each word, in treebanks of Universal Dependencies."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise

from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerFast
from transformers.utils import ModelOutput

from ..data.batches import Batch, Features
from ..data.examples import Examples
from ..data.masking import IGNORED
from ..errors import DataError
from ..evaluate.parsing import Arc, attachment_scores
from ..evaluate.predict import predictions
from .labels import label_set, renaming
from .task import Scores
from .words import encode_words

WORDS, HEADS, RELATIONS = "form", "head", "deprel"
UNSPECIFIED = "dep"


@dataclass(frozen=True)
class Parsing:
    """Dependency parsing with a biaffine head, scored by LAS over all words, punctuation too.

    Relations are those of all languages: without what follows a colon (``nmod:poss`` is ``nmod``), as in the published
    code. Each word gets its best head, also as there, whether or not the heads of a sentence make a tree.
    """

    name: str = "dep"
    head: str = "dependency-parsing"
    metric: str = "las"

    @property
    def columns(self) -> Mapping[str, str]:
        """The columns of its files: a head is 0 for the root or the number of a word, from 1."""
        return {WORDS: "texts", HEADS: "numbers", RELATIONS: "texts"}

    def check(self, examples: Examples) -> None:
        """DataError for a row of columns that differ in length, or with a head or relation that makes no sense."""
        for number, (words, heads, relations) in enumerate(examples.rows(WORDS, HEADS, RELATIONS)):
            place = examples.place(number)
            if not len(words) == len(heads) == len(relations):
                raise DataError(
                    f"{place} has {len(words)} {WORDS} but {len(heads)} {HEADS} and {len(relations)} {RELATIONS} "
                    "(--task-data)"
                )
            for word, (head, relation) in enumerate(zip(heads, relations, strict=True), 1):
                if not 0 <= head <= len(words) or head == word:
                    raise DataError(
                        f"{place} has the head {head} for word {word}; allowed: 0 for the root, or the number of "
                        f"another word, 1 to {len(words)} (--task-data)"
                    )
                if not _universal(relation).strip():
                    raise DataError(f"{place} has the relation {relation!r}, which has no name (--task-data)")

    def labels(self, examples: Examples, label_map: Mapping[str, str]) -> tuple[str, ...]:
        """Give the relations that occur, without sub-types, mapped, in alphabetical order."""
        return label_set((_universal(relation) for row in examples.columns[RELATIONS] for relation in row), label_map)

    def relabel(self, examples: Examples, label_map: Mapping[str, str], labels: Sequence[str]) -> Examples:
        """Cut sub-types off and map every relation."""
        rows = [[_universal(relation) for relation in row] for row in examples.columns[RELATIONS]]
        instead = UNSPECIFIED if UNSPECIFIED in labels else labels[0]
        renamed = renaming((relation for row in rows for relation in row), label_map, labels, examples.uri, instead)
        mapped = tuple(tuple(renamed[relation] for relation in row) for row in rows)
        return replace(examples, columns={**examples.columns, RELATIONS: mapped})

    def encode(
        self, examples: Examples, tokenizer: PreTrainedTokenizerFast, labels: Sequence[str], max_length: int
    ) -> list[Features]:
        """Turn sentences into ids, the places of their words and, by word, its head and its relation's index.

        Of a sentence that is too long the words that fit are learned, but for those whose heads do not fit. (The
        published code leaves such sentences out.)
        """
        number = {label: index for index, label in enumerate(labels)}
        features: list[Features] = []
        sentences = _places(examples, tokenizer, max_length)
        for inputs, heads, relations in zip(
            sentences, examples.columns[HEADS], examples.columns[RELATIONS], strict=True
        ):
            seen = _seen(inputs["word_starts"])
            known = {0, *(word for word, is_seen in enumerate(seen, 1) if is_seen)}
            arcs = [
                (head, number[relation]) if is_seen and head in known else (IGNORED, IGNORED)
                for is_seen, head, relation in zip(seen, heads, relations, strict=False)  # the words that fit
            ]
            features.append(
                {**inputs, "heads": [head for head, _ in arcs], "relations": [relation for _, relation in arcs]}
            )
        return features

    def asked_about_text(self, length: int) -> Features:
        """Ask about the head of every token between the first and the last, and its relation to the one before it."""
        words = max(0, length - 2)
        return {"word_starts": list(range(1, words + 2)), "heads": list(range(words)), "relations": [0] * words}

    def targets(self, batch: Batch) -> dict[str, Tensor]:
        """Give the head and the relation of each word."""
        return {"arcs": batch["heads"].flatten(), "relations": batch["relations"].flatten()}

    def logits(self, output: ModelOutput, batch: Batch) -> dict[str, Tensor]:
        """Give for each word the logits of its heads and, with its right head, those of its relations."""
        right_BW11 = batch["heads"].clamp(min=0)[:, :, None, None]
        relations_BWPR = output.relation_logits
        relations_BWR = relations_BWPR.take_along_dim(right_BW11, dim=2).squeeze(2)
        return {"arcs": output.arc_logits.flatten(0, 1), "relations": relations_BWR.flatten(0, 1)}

    def compare(self, examples: Examples, predicted: Sequence[Sequence[Arc | None]]) -> Scores:
        """Compare heads and relations; a word that was not seen counts as wrong."""
        gold = [list(zip(*row, strict=True)) for row in examples.rows(HEADS, RELATIONS)]
        found = asdict(attachment_scores(gold, predicted))
        return Scores(found.pop("las"), found)

    def answered(self, examples: Examples, predicted: Sequence[Sequence[Arc | None]]) -> Examples:
        """Give the sentences with these trees; a word that was not seen has the root for its head and no relation."""
        arcs = [[arc or (0, "") for arc in row] for row in predicted]
        heads = tuple(tuple(head for head, _ in row) for row in arcs)
        relations = tuple(tuple(relation for _, relation in row) for row in arcs)
        return replace(examples, columns={**examples.columns, HEADS: heads, RELATIONS: relations})

    def predict(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerFast,
        examples: Examples,
        labels: Sequence[str],
        max_length: int,
    ) -> list[list[Arc | None]]:
        """Predict each word's best head and its best relation to it; None for a word beyond ``max_length``."""
        features = _places(examples, tokenizer, max_length)
        predicted: list[list[Arc | None]] = [[None] * len(words) for words in examples.columns[WORDS]]
        for index, output in predictions(model, features, tokenizer.pad_token_id):
            heads_W = output["arc_logits"].argmax(-1)
            relations_WR = output["relation_logits"].take_along_dim(heads_W[:, None, None], dim=1).squeeze(1)
            heads, relations = heads_W.tolist(), relations_WR.argmax(-1).tolist()
            for word, is_seen in enumerate(_seen(features[index]["word_starts"])):
                if is_seen:
                    predicted[index][word] = (heads[word], labels[relations[word]])
        return predicted


def _universal(relation: str) -> str:
    return relation.partition(":")[0]


def _places(examples: Examples, tokenizer: PreTrainedTokenizerFast, max_length: int) -> list[dict[str, list[int]]]:
    """Give each sentence's ids and where its words start, up to the last that fits (see ``models/parser.py``)."""
    input_ids, word_ids = encode_words(tokenizer, examples.columns[WORDS], max_length)
    return [
        {"input_ids": ids, "word_starts": _word_starts(words)} for ids, words in zip(input_ids, word_ids, strict=True)
    ]


def _word_starts(word_of_id: Sequence[int | None]) -> list[int]:
    """Give where each word starts and the last one ends; a word without sub-words starts where the next one does."""
    words = [word for word in word_of_id if word is not None]
    if not words:
        return [0]
    first = word_of_id.index(words[0])
    return [first + bisect_left(words, word) for word in range(words[-1] + 2)]


def _seen(word_starts: Sequence[int]) -> list[bool]:
    return [start < end for start, end in pairwise(word_starts)]
