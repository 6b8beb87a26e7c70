"""Tagging tasks: a label for each word, on its first sub-word; spans of them for named entities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerFast
from transformers.utils import ModelOutput

from ..data.batches import Batch, Features
from ..data.examples import Examples
from ..data.masking import IGNORED
from ..errors import DataError
from ..evaluate.predict import predictions
from ..evaluate.tagging import span_scores, word_scores
from .labels import NO_SPAN, SPAN_PREFIXES, label_set, renaming
from .task import Scores
from .words import encode_words, first_places

WORDS = "tokens"


@dataclass(frozen=True)
class Tagging:
    """A tagging task; ``spans``: its tags are IOB2 (B-PER, I-PER, O) and scored as spans, otherwise word by word."""

    name: str
    tags: str
    spans: bool
    head: str = "token-classification"

    @property
    def metric(self) -> str:
        """What the score is."""
        return "f1" if self.spans else "accuracy"

    @property
    def columns(self) -> Mapping[str, str]:
        """The columns of its files."""
        return {WORDS: "texts", self.tags: "texts"}

    def check(self, examples: Examples) -> None:
        """DataError for a row with another number of tags than words, or with a tag that is not IOB2 or has no name."""
        for number, (words, tags) in enumerate(examples.rows(WORDS, self.tags)):
            place = examples.place(number)
            if len(words) != len(tags):
                raise DataError(f"{place} has {len(words)} {WORDS} but {len(tags)} {self.tags} (--task-data)")
            for tag in tags:
                if self.spans and not _is_iob2(tag):
                    raise DataError(
                        f"{place} has the tag {tag!r}, which is not IOB2 (O, B-TYPE or I-TYPE) (--task-data)"
                    )
                if not tag.strip():
                    raise DataError(f"{place} has the tag {tag!r}, which has no name (--task-data)")

    def labels(self, examples: Examples, label_map: Mapping[str, str]) -> tuple[str, ...]:
        """Give the tags that occur, mapped, in alphabetical order."""
        found = label_set((tag for tags in examples.columns[self.tags] for tag in tags), label_map)
        for tag in found:
            if self.spans and not _is_iob2(tag):
                raise DataError(
                    f"label_map makes a tag {tag!r}, which is not IOB2 (O, B-TYPE or I-TYPE): name the type alone, "
                    "such as --set label_map.LOC=PLACE"
                )
        return found

    def relabel(self, examples: Examples, label_map: Mapping[str, str], labels: Sequence[str]) -> Examples:
        """Map every tag; of a type that ``labels`` have, both are let through, B- and I-.

        Where all places of the training data are one word, those of other data may have more.
        """
        all_tags = examples.columns[self.tags]
        instead, allowed = labels[0], tuple(labels)
        if self.spans:
            kinds = dict.fromkeys(label[2:] for label in labels if label != NO_SPAN)
            instead, allowed = NO_SPAN, (*(prefix + kind for prefix in SPAN_PREFIXES for kind in kinds), NO_SPAN)
        renamed = renaming((tag for tags in all_tags for tag in tags), label_map, allowed, examples.uri, instead)
        mapped = tuple(tuple(renamed[tag] for tag in tags) for tags in all_tags)
        return replace(examples, columns={**examples.columns, self.tags: mapped})

    def encode(
        self, examples: Examples, tokenizer: PreTrainedTokenizerFast, labels: Sequence[str], max_length: int
    ) -> list[Features]:
        """Turn sentences into ids and, on the first sub-word of each word, the index of its tag in ``labels``.

        A tag that ``labels`` lack is not learned from.
        """
        number = {label: index for index, label in enumerate(labels)}
        features: list[Features] = []
        input_ids, word_ids = encode_words(tokenizer, examples.columns[WORDS], max_length)
        for ids, words, tags in zip(input_ids, word_ids, examples.columns[self.tags], strict=True):
            encoded = [IGNORED] * len(ids)
            for tag, position in zip(tags, first_places(words, len(tags)), strict=True):
                if position >= 0:
                    encoded[position] = number.get(tag, IGNORED)
            features.append({"input_ids": ids, "labels": encoded})
        return features

    def asked_about_text(self, length: int) -> Features:
        """Ask about every token."""
        return {"labels": [0] * length}

    def targets(self, batch: Batch) -> dict[str, Tensor]:
        """Give the label of each position."""
        return {"tags": batch["labels"].flatten()}

    def logits(self, output: ModelOutput, batch: Batch) -> dict[str, Tensor]:
        """Give the logits of each position."""
        return {"tags": output.logits.flatten(0, 1)}

    def compare(self, examples: Examples, predicted: Sequence[Sequence[str]]) -> Scores:
        """Compare spans by the CoNLL rules, or words."""
        gold = examples.columns[self.tags]
        if self.spans:
            found = span_scores(gold, predicted)
            return Scores(found.f1, {"precision": found.precision, "recall": found.recall, "by_type": found.by_type})
        found_words = word_scores(gold, predicted)
        return Scores(found_words.accuracy, {"macro_f1": found_words.macro_f1, "by_label": found_words.by_label})

    def answered(self, examples: Examples, predicted: Sequence[Sequence[str]]) -> Examples:
        """Give the sentences with these tags."""
        return replace(examples, columns={**examples.columns, self.tags: tuple(map(tuple, predicted))})

    def predict(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerFast,
        examples: Examples,
        labels: Sequence[str],
        max_length: int,
    ) -> list[list[str]]:
        """Predict a tag for each word of each sentence, from the logits (B, T, L) at its first sub-word.

        A word without a sub-word within ``max_length`` gets ``O``, which is wrong in a task without spans.
        """
        input_ids, word_ids = encode_words(tokenizer, examples.columns[WORDS], max_length)
        features: list[Features] = [{"input_ids": ids} for ids in input_ids]
        predicted = [[NO_SPAN] * len(words) for words in examples.columns[WORDS]]
        for index, output in predictions(model, features, tokenizer.pad_token_id):
            best = output["logits"].argmax(-1).tolist()
            for word, position in enumerate(first_places(word_ids[index], len(predicted[index]))):
                if position >= 0:
                    predicted[index][word] = labels[best[position]]
        return predicted


def _is_iob2(tag: str) -> bool:
    return tag == NO_SPAN or (tag.startswith(SPAN_PREFIXES) and len(tag) > len(SPAN_PREFIXES[0]))
