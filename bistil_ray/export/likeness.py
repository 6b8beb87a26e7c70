"""How alike two forms of one model are: their logits on sentences in several languages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from math import inf
from typing import Any

from transformers import PreTrainedModel, PreTrainedTokenizerFast

from ..data.batches import Features, length_of
from ..data.examples import Examples
from ..evaluate.predict import predictions
from ..models.families import family_of
from ..tasks.parsing import HEADS as PARENTS
from ..tasks.parsing import RELATIONS, WORDS, Parsing
from .heads import PARSER, Head

# The beginning of the Universal Declaration of Human Rights.
SENTENCES = {
    "en": "All human beings are born free and equal in dignity and rights.",
    "sw": "Watu wote wamezaliwa huru, hadhi na haki zao ni sawa. Wote wamejaliwa akili na dhamiri.",
    "yo": "Gbogbo ènìyàn ni a bí ní òmìnira; iyì àti ẹ̀tọ́ kọ̀ọ̀kan sì dọ́gba.",
    "ha": "Su dai 'yan-adam, ana haifuwarsu ne duka 'yantattu.",
}


def probes(head: Head, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> list[Features]:
    """Turn the sentences into features for a model with ``head``: alone and in pairs, or as words for a parser."""
    longest = family_of(model.config).longest_text(model.config)
    texts = list(SENTENCES.values())
    if head == PARSER:
        words = tuple(tuple(text.split()) for text in texts)
        relation = model.config.id2label[0]
        columns = {
            WORDS: words,
            PARENTS: tuple((0,) * len(row) for row in words),
            RELATIONS: tuple((relation,) * len(row) for row in words),
        }
        return Parsing().encode(Examples(columns, "", {}), tokenizer, (relation,), longest)
    encoded = [tokenizer(text, return_token_type_ids=True) for text in texts]
    encoded += [tokenizer(*pair, return_token_type_ids=True) for pair in pairwise(texts)]
    return [{name: row[name][:longest] for name in ("input_ids", "token_type_ids")} for row in encoded]


def largest_difference(one: Any, other: Any, features: Sequence[Features], pad_id: int) -> float:  # noqa: ANN401
    """Give the largest difference between the outputs of two models, each as a share of 1 + its absolute value.

    It is infinite where one of them gives no number.

    Models are called in padded batches and row by row, so that neither size nor length is fixed by mistake. What they
    give at padding is passed over: it means nothing, and where all that a position may look at is padding it differs.
    """
    lengths = [length_of(row) for row in features]

    def differences(size: int) -> Iterator[float]:
        both = (predictions(model, features, pad_id, size) for model in (one, other))
        for (index, ours), (_, theirs) in zip(*both, strict=True):
            padded = max(lengths) if size > 1 else lengths[index]
            for name, values in ours.items():
                here = slice(lengths[index] if len(values) == padded else None)
                apart = (values - theirs[name]).abs() / (1 + values.abs())
                yield float(apart[here].nan_to_num(nan=inf).max())

    return max(max(differences(size)) for size in (1, len(features)))
