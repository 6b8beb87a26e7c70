"""The seam between a task and everything else: what a task says about its data, its head and its scores.

A family of tasks is a frozen dataclass that fulfils ``Task``; ``registry.py`` lists what there is. What is the same for
all of them (files, batches, training, distillation, records) is elsewhere and knows no task.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerFast
from transformers.utils import ModelOutput

from ..data.batches import Batch, Features
from ..data.examples import Examples, read_examples


@dataclass(frozen=True)
class Scores:
    """How good a model is on a file of examples: the task's main metric as a fraction, and everything else measured."""

    score: float
    details: Mapping[str, Any]


class Task(Protocol):
    """What a task knows."""

    @property
    def name(self) -> str:
        """What it is called in configurations."""

    @property
    def head(self) -> str:
        """The head its models have, a key of ``HEADS`` in ``models/heads.py``."""

    @property
    def metric(self) -> str:
        """What ``Scores.score`` is."""

    @property
    def columns(self) -> Mapping[str, str]:
        """The columns of its files, with their kinds (see ``data/examples.py``)."""

    def check(self, examples: Examples) -> None:
        """DataError for a row that is of the right types and yet makes no sense."""

    def labels(self, examples: Examples, label_map: Mapping[str, str]) -> tuple[str, ...]:
        """Give the labels that occur, mapped, in the order of the head's outputs."""

    def relabel(self, examples: Examples, label_map: Mapping[str, str], labels: Sequence[str]) -> Examples:
        """Map every label; DataError for one that is not in ``labels`` afterwards."""

    def encode(
        self, examples: Examples, tokenizer: PreTrainedTokenizerFast, labels: Sequence[str], max_length: int
    ) -> list[Features]:
        """Turn examples into features of at most ``max_length`` tokens: what ``data/batches.py`` pads to batches.

        There may be more features than examples, where long ones are cut into several.
        """

    def asked_about_text(self, length: int) -> Features:
        """Give the fields that, beside its ids, put a text of ``length`` tokens to the head, with any answers.

        Where the head decides about words these are the tokens: plain text comes without words. None where it cannot be
        asked about plain text, which has no second text and no question either.
        """

    def targets(self, batch: Batch) -> dict[str, Tensor]:
        """Give, for each decision of the head, the right answers (N,) of a batch, ``IGNORED`` where there is none."""

    def logits(self, output: ModelOutput, batch: Batch) -> dict[str, Tensor]:
        """Give the head's logits (N, choices) of the same decisions, row for row those of ``targets``."""

    def predict(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerFast,
        examples: Examples,
        labels: Sequence[str],
        max_length: int,
    ) -> list[Any]:
        """Answer each example, in values that JSON holds; the model is left in the mode it was in."""

    def compare(self, examples: Examples, predicted: Sequence[Any]) -> Scores:
        """Compare answers with the right ones."""

    def answered(self, examples: Examples, predicted: Sequence[Any]) -> Examples:
        """Give the examples with these answers for the right ones."""


def score(
    task: Task,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    examples: Examples,
    labels: Sequence[str],
    max_length: int,
) -> Scores:
    """Predict and compare."""
    return task.compare(examples, task.predict(model, tokenizer, examples, labels, max_length))


def read_labelled(task: Task, uri: str) -> Examples:
    """Read a labelled file of a task and check what the task asks of it; DataError in a line where it does not hold."""
    examples = read_examples(uri, task.columns)
    task.check(examples)
    return examples
