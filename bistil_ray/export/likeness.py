"""How alike two forms of one model are: their logits on sentences in several languages."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from transformers import PreTrainedModel, PreTrainedTokenizerFast

from ..data.batches import Features
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

    Models are called in padded batches and row by row, so that neither size nor length is fixed by mistake.
    """
    return max(
        float(((ours[name] - theirs[name]).abs() / (1 + ours[name].abs())).max())
        for size in (1, len(features))
        for (_, ours), (_, theirs) in zip(
            predictions(one, features, pad_id, size), predictions(other, features, pad_id, size), strict=True
        )
        for name in ours
    )
