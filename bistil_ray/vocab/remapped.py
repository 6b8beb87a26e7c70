"""Tokenizers with the ids of a union: each teacher's own segmentation, and where all are of one kind, one for all."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from transformers import PreTrainedTokenizerFast

from .backend import State, backend_state, renumbered
from .trim import tokenizer_of_state
from .union import Union

# What stands at the ids of other tokenizers' pieces: no text contains it. Its score must not be the lowest, which sets
# the price of unknown characters.
_NO_PIECE = ("", 0.0)


def remapped_tokenizer(tokenizer: PreTrainedTokenizerFast, ids: np.ndarray, size: int) -> PreTrainedTokenizerFast:
    """Give a tokenizer that splits text as before, into the ids ``ids`` (V,) of a vocabulary of ``size`` tokens."""
    new_id = dict(enumerate(ids.tolist()))
    return tokenizer_of_state(tokenizer, _remapped(tokenizer, new_id, size), new_id)


def merged_tokenizer(tokenizers: Sequence[PreTrainedTokenizerFast], union: Union) -> PreTrainedTokenizerFast | None:
    """Give one tokenizer of the whole union, or None where the tokenizers differ in more than their vocabularies.

    Merges of byte-pair encoding keep their order, those of the first tokenizer coming first. The probability of a
    Unigram piece is its mean over the tokenizers: that of a text written by all of them alike.
    """
    maps = [dict(enumerate(ids.tolist())) for ids in union.maps]
    states = [_remapped(tokenizer, new_id, union.size) for tokenizer, new_id in zip(tokenizers, maps, strict=True)]
    added = {token["id"]: token for state in states for token in state["added_tokens"]}
    pieces = {
        new_id[old]: piece
        for tokenizer, new_id in zip(tokenizers, maps, strict=True)
        for piece, old in tokenizer.get_vocab().items()
    }
    alike = all(_frame(state) == _frame(states[0]) for state in states)
    same_added = all(added[token["id"]] == token for state in states for token in state["added_tokens"])
    # A string that is special for one tokenizer and ordinary for another stands for two tokens.
    if not (alike and same_added and len(set(pieces.values())) == union.size):
        return None
    whole = {
        **states[0],
        "model": _merged_model([state["model"] for state in states], [pieces[index] for index in range(union.size)]),
        "added_tokens": [added[index] for index in sorted(added)],
    }
    return tokenizer_of_state(tokenizers[0], whole, maps[0])


def _remapped(tokenizer: PreTrainedTokenizerFast, new_id: dict[int, int], size: int) -> State:
    """The state with new ids, in which every id below ``size`` is that of a piece, added tokens included.

    Otherwise added tokens would be counted on from the end of the vocabulary, and files with gaps are called corrupt.
    """
    old = backend_state(tokenizer)
    state = renumbered(old, new_id)
    vocabulary = old["model"]["vocab"]
    added = {token["id"]: token["content"] for token in state["added_tokens"]}
    model: dict[str, Any] = dict(state["model"])
    if isinstance(vocabulary, list):
        pieces = {index: (piece, 0.0) for index, piece in added.items()}
        pieces |= {new_id[index]: tuple(entry) for index, entry in enumerate(vocabulary)}
        model["vocab"] = [list(pieces.get(index, _NO_PIECE)) for index in range(size)]
    else:
        names = added | {new_id[index]: piece for piece, index in vocabulary.items()}
        # Words hold no space, and no merge leads to this.
        model["vocab"] = {names.get(index, f"<foreign {index}>"): index for index in range(size)}
    return {**state, "model": model}


def _frame(state: State) -> State:
    """What tokenizers must have in common to be merged: all but their vocabularies."""
    model = {key: value for key, value in state["model"].items() if key not in ("vocab", "merges")}
    own = ("added_tokens", "padding", "truncation")
    return {**{key: value for key, value in state.items() if key not in own}, "model": model}


def _merged_model(models: Sequence[State], names: Sequence[str]) -> State:
    """A model of all pieces ``names``, in the order of their ids."""
    model = dict(models[0])
    if model["type"] == "Unigram":
        model["vocab"] = _mean_scores(names, [each["vocab"] for each in models])
    else:
        model["vocab"] = {name: index for index, name in enumerate(names)}
    if "merges" in model:
        merges = dict.fromkeys(tuple(merge) for each in models for merge in each["merges"])
        model["merges"] = [list(merge) for merge in merges]
    return model


def _mean_scores(names: Sequence[str], vocabularies: Sequence[Sequence[Sequence[Any]]]) -> list[list[Any]]:
    """Scores are log-probabilities; a tokenizer that lacks a piece gives it none."""
    chances = [
        sum(math.exp(pieces[index][1]) for pieces in vocabularies if pieces[index][0] == name) / len(vocabularies)
        for index, name in enumerate(names)
    ]
    return [[name, math.log(chance)] for name, chance in zip(names, chances, strict=True)]
