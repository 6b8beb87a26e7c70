"""What a BPE vocabulary needs besides the pieces that occur: the pieces they are merged from."""

from __future__ import annotations

from typing import Any

import numpy as np
from transformers import PreTrainedTokenizerBase

from .backend import State, backend_state, merge_result


def merge_closure(tokenizer: PreTrainedTokenizerBase, kept: np.ndarray) -> np.ndarray:
    """Give ``kept`` (ascending old ids) and every piece that a kept piece is merged from, ascending.

    Byte-pair encoding reaches a piece only through smaller ones, which need not occur by themselves; without
    them the piece would never come out of the trimmed tokenizer. A piece is built in the same way wherever it
    stands, so the merges that build it alone are all that is needed, and text whose pieces are all kept is
    split as before. To be called before embeddings are cut. WordPiece and Unigram need nothing: ``kept``
    comes back as it is.
    """
    return closed_under_merges(backend_state(tokenizer), kept)


def closed_under_merges(state: State, kept: np.ndarray) -> np.ndarray:
    """Do what ``merge_closure`` does, on the tokenizer's state."""
    model = state["model"]
    if model["type"] != "BPE":
        return kept
    vocabulary = model["vocab"]
    ranks = {(left, right): rank for rank, (left, right) in enumerate(model["merges"])}
    pieces = {index: piece for piece, index in vocabulary.items()}
    needed = set(kept.tolist())
    for old in kept.tolist():
        if old in pieces:
            needed.update(vocabulary[part] for part in _parts(model, ranks, pieces[old]))
    return np.array(sorted(needed), dtype=np.int64)


def _parts(model: dict[str, Any], ranks: dict[tuple[str, str], int], piece: str) -> set[str]:
    """Give the pieces met while ``piece`` is built, itself left out; none if merging does not lead to it."""
    symbols = _characters(model, piece)
    met: set[str] = set()
    while len(symbols) > 1:
        met.update(symbols)
        pairs = zip(symbols, symbols[1:], strict=False)
        rank, place = min((ranks.get(pair, len(ranks)), place) for place, pair in enumerate(pairs))
        if rank == len(ranks):
            return set()
        symbols[place : place + 2] = [merge_result(model, symbols[place], symbols[place + 1])]
    return met


def _characters(model: dict[str, Any], piece: str) -> list[str]:
    """Split a piece into the symbols that merging starts from, with continuation and end-of-word marks."""
    prefix, suffix = model.get("continuing_subword_prefix") or "", model.get("end_of_word_suffix") or ""
    continues = bool(prefix) and piece.startswith(prefix)
    ends = bool(suffix) and piece.endswith(suffix)
    letters = list(piece.removeprefix(prefix).removesuffix(suffix))
    symbols = [prefix + letter if i > 0 or continues else letter for i, letter in enumerate(letters)]
    if ends and symbols:
        symbols[-1] += suffix
    return symbols
