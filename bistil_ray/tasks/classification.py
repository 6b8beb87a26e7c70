"""Classification tasks: one label for a text, or for a pair of texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerFast
from transformers.utils import ModelOutput

from ..data.batches import Batch, Features
from ..data.examples import Examples
from ..evaluate.labels import label_scores
from ..evaluate.predict import predictions
from .labels import label_set, renaming
from .task import Scores

LABEL = "label"


@dataclass(frozen=True)
class Classification:
    """A classification task; ``texts``: its one or two text columns; ``metric``: ``accuracy`` or ``macro_f1``."""

    name: str
    texts: tuple[str, ...]
    metric: str
    head: str = "sequence-classification"

    @property
    def columns(self) -> Mapping[str, str]:
        """The columns of its files."""
        return {**dict.fromkeys(self.texts, "text"), LABEL: "text"}

    def check(self, examples: Examples) -> None:
        """Every row of texts makes sense."""

    def labels(self, examples: Examples, label_map: Mapping[str, str]) -> tuple[str, ...]:
        """Give the labels that occur, mapped, in alphabetical order."""
        return label_set(examples.columns[LABEL], label_map)

    def relabel(self, examples: Examples, label_map: Mapping[str, str], labels: Sequence[str]) -> Examples:
        """Map every label."""
        found = examples.columns[LABEL]
        renamed = renaming(found, label_map, labels, examples.uri, labels[0])
        mapped = tuple(renamed[label] for label in found)
        return replace(examples, columns={**examples.columns, LABEL: mapped})

    def encode(
        self, examples: Examples, tokenizer: PreTrainedTokenizerFast, labels: Sequence[str], max_length: int
    ) -> list[Features]:
        """Turn texts into ids and the index in ``labels`` of their label."""
        number = {label: index for index, label in enumerate(labels)}
        features = self._encoded(examples, tokenizer, max_length)
        return [{**row, LABEL: number[label]} for row, label in zip(features, examples.columns[LABEL], strict=True)]

    def asked_about_text(self, length: int) -> Features:
        """Ask about a text, not about a pair."""
        return {LABEL: 0} if len(self.texts) == 1 else {}

    def targets(self, batch: Batch) -> dict[str, Tensor]:
        """Give the label of each example (B,)."""
        return {LABEL: batch[LABEL]}

    def logits(self, output: ModelOutput, batch: Batch) -> dict[str, Tensor]:
        """Give the logits of each example (B, L)."""
        return {LABEL: output.logits}

    def compare(self, examples: Examples, predicted: Sequence[str]) -> Scores:
        """Compare labels; the details hold accuracy and macro F1, whichever is the score."""
        found = label_scores(examples.columns[LABEL], predicted)
        averages = {"accuracy": found.accuracy, "macro_f1": found.macro_f1}
        return Scores(averages[self.metric], {**averages, "by_label": found.by_label})

    def answered(self, examples: Examples, predicted: Sequence[str]) -> Examples:
        """Give the texts with these labels."""
        return replace(examples, columns={**examples.columns, LABEL: tuple(predicted)})

    def predict(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerFast,
        examples: Examples,
        labels: Sequence[str],
        max_length: int,
    ) -> list[str]:
        """Predict a label for each example."""
        predicted = [""] * len(examples)
        for index, output in predictions(model, self._encoded(examples, tokenizer, max_length), tokenizer.pad_token_id):
            predicted[index] = labels[int(output["logits"].argmax())]
        return predicted

    def _encoded(self, examples: Examples, tokenizer: PreTrainedTokenizerFast, max_length: int) -> list[Features]:
        """Encode texts with markers, those that are too long cut at the end, of a pair the longer one."""
        batch = tokenizer(
            *(list(examples.columns[name]) for name in self.texts),
            truncation="longest_first",
            max_length=max_length,
            return_attention_mask=False,
            return_token_type_ids=True,
        )
        # Otherwise a tokenizer saved later would cut what other programs give it.
        tokenizer.backend_tokenizer.no_truncation()
        columns = batch["input_ids"], batch["token_type_ids"]
        return [{"input_ids": ids, "token_type_ids": types} for ids, types in zip(*columns, strict=True)]
