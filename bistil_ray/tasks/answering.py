"""Extractive question answering: which span of a text answers a question (SQuAD)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerFast
from transformers.utils import ModelOutput

from ..data.batches import Batch, Features
from ..data.examples import Examples
from ..errors import DataError
from ..evaluate.answers import answer_scores
from ..evaluate.predict import predictions
from .task import Scores
from .windows import cut_context

CONTEXT, QUESTION, ANSWERS = "context", "question", "answers"

MAX_ANSWER_TOKENS = 30
"""Longer answers are never given."""
# A logit that no softmax sees at any temperature in use, and that is finite in half precision: 0 times it is 0.
_NEVER = -1e4


@dataclass(frozen=True)
class Answering:
    """Question answering: the head says for each position how well an answer starts, and how well it ends there.

    The answer is one of the context, which is read in overlapping windows. Where a window does not hold it whole, or
    there is none, the right position is the first one, that of the marker. Examples are trained on the first of their
    answers and scored by the best fitting one.
    """

    name: str = "qa"
    head: str = "question-answering"
    metric: str = "f1"

    @property
    def columns(self) -> Mapping[str, str]:
        """The columns of its files."""
        return {CONTEXT: "text", QUESTION: "text", ANSWERS: "answers"}

    def check(self, examples: Examples) -> None:
        """DataError for a row with an answer that is empty, or is not what stands in the context at its place."""
        for number, (context, (texts, starts)) in enumerate(examples.rows(CONTEXT, ANSWERS)):
            place = examples.place(number)
            if len(texts) != len(starts):
                raise DataError(f"{place} has {len(texts)} texts but {len(starts)} answer_start (--task-data)")
            for text, start in zip(texts, starts, strict=True):
                found = context[start : start + len(text)] if start >= 0 else ""
                if not text.strip() or found != text:
                    raise DataError(
                        f"{place} has the answer {text!r} at character {start}, where the context has {found!r} "
                        "(--task-data)"
                    )

    def labels(self, examples: Examples, label_map: Mapping[str, str]) -> tuple[str, ...]:
        """Give none: the head's outputs are positions."""
        return ()

    def relabel(self, examples: Examples, label_map: Mapping[str, str], labels: Sequence[str]) -> Examples:
        """Give the examples as they are."""
        return examples

    def encode(
        self, examples: Examples, tokenizer: PreTrainedTokenizerFast, labels: Sequence[str], max_length: int
    ) -> list[Features]:
        """Turn examples into windows with the positions of the first and last token of the answer."""
        features: list[Features] = []
        for question, context, (texts, starts) in examples.rows(QUESTION, CONTEXT, ANSWERS):
            cut = cut_context(tokenizer, question, context, max_length)
            answer = cut.tokens_of(starts[0], starts[0] + len(texts[0])) if texts else range(0)
            for window in cut.windows:
                start = end = 0
                if answer and answer[0] in window.tokens and answer[-1] in window.tokens:
                    start, end = (window.first + token - window.tokens.start for token in (answer[0], answer[-1]))
                features.append({**window.features, "start": start, "end": end})
        return features

    def asked_about_text(self, length: int) -> Features:
        """Ask nothing: plain text comes without a question."""
        return {}

    def targets(self, batch: Batch) -> dict[str, Tensor]:
        """Give the position of each answer's first and last token (B,)."""
        return {"start": batch["start"], "end": batch["end"]}

    def logits(self, output: ModelOutput, batch: Batch) -> dict[str, Tensor]:
        """Give the logits of each position (B, T), padding ruled out.

        The question's positions stay in: that they hold no answer is for the model to learn.
        """
        padding_BT = batch["attention_mask"] == 0
        return {
            "start": output.start_logits.masked_fill(padding_BT, _NEVER),
            "end": output.end_logits.masked_fill(padding_BT, _NEVER),
        }

    def compare(self, examples: Examples, predicted: Sequence[str]) -> Scores:
        """Compare answers by the rules of SQuAD 1.1: one is always given, and wrong where there is none."""
        gold = [texts for texts, _ in examples.columns[ANSWERS]]
        found = answer_scores(gold, predicted)
        return Scores(found.f1, {"exact_match": found.exact_match, "questions": len(examples)})

    def answered(self, examples: Examples, predicted: Sequence[str]) -> Examples:
        """Give the questions with these answers, wherever they stand in the context."""
        answers = tuple(((text,), (0,)) for text in predicted)
        return replace(examples, columns={**examples.columns, ANSWERS: answers})

    def predict(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerFast,
        examples: Examples,
        labels: Sequence[str],
        max_length: int,
    ) -> list[str]:
        """Answer each question by the best span of its context over all windows ('' where no token is in it)."""
        pairs = examples.rows(QUESTION, CONTEXT)
        contexts = [cut_context(tokenizer, question, context, max_length) for question, context in pairs]
        windows = [(number, window) for number, cut in enumerate(contexts) for window in cut.windows if window.tokens]
        best = [(float("-inf"), 0, 0)] * len(contexts)
        features = [window.features for _, window in windows]
        for index, output in predictions(model, features, tokenizer.pad_token_id):
            number, window = windows[index]
            here = slice(window.first, window.first + len(window.tokens))
            logit, first, last = best_span(output["start_logits"][here], output["end_logits"][here])
            spans = contexts[number].spans
            left, right = spans[window.tokens[first]][0], spans[window.tokens[last]][1]
            best[number] = max(best[number], (logit, left, right))
        texts = zip(examples.columns[CONTEXT], best, strict=True)
        return [context[left:right].strip() for context, (_, left, right) in texts]


def best_span(start_T: Tensor, end_T: Tensor) -> tuple[float, int, int]:
    """Find the span with the highest sum of its start's and its end's logit; give the sum and the two positions.

    No span has more than ``MAX_ANSWER_TOKENS`` tokens.
    """
    ordered_TT = torch.ones(len(start_T), len(start_T), dtype=torch.bool).triu().tril(MAX_ANSWER_TOKENS - 1)
    sums_TT = (start_T[:, None] + end_T[None, :]).masked_fill(~ordered_TT, float("-inf"))
    first, last = divmod(int(sums_TT.argmax()), len(start_T))
    return float(sums_TT[first, last]), first, last
