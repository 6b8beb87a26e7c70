"""Questions about long texts: as ids in overlapping windows, with the place of each token in the text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from transformers import PreTrainedTokenizerFast

from ..data.batches import Features

OVERLAP = 128
"""So many tokens of a text are in two neighbouring windows, where windows are long enough."""


@dataclass(frozen=True)
class Window:
    """A question with a part of its context: ``tokens`` are the numbers of the context's tokens that are in it."""

    features: Features
    tokens: range
    first: int
    """Where in ``features`` the first of ``tokens`` stands; the others follow it."""


@dataclass(frozen=True)
class CutContext:
    """A context as tokens, token i being the characters ``spans[i]`` (start, end) of it, and the windows over them."""

    spans: Sequence[tuple[int, int]]
    windows: Sequence[Window]

    def tokens_of(self, start: int, end: int) -> range:
        """Give the tokens that hold characters from ``start`` on, before ``end``; empty if there are none."""
        held = [index for index, (left, right) in enumerate(self.spans) if left < end and start < right]
        return range(held[0], held[-1] + 1) if held else range(0)


def cut_context(tokenizer: PreTrainedTokenizerFast, question: str, context: str, max_length: int) -> CutContext:
    """Encode a question and its context as a pair, cut into windows of at most ``max_length`` tokens with markers.

    Every token of the context is in a window. Windows overlap by ``OVERLAP`` tokens, or half of what they hold of the
    context. The question is whole in each, but cut after half of the places there are for words.
    """
    # Cut here and not by the tokenizer, whose own way fails for long questions and stays set on it.
    pair = tokenizer(question, context, verbose=False).encodings[0]
    ids, types, offsets, sides = pair.ids, pair.type_ids, pair.offsets, pair.sequence_ids
    asked, told = ([place for place, side in enumerate(sides) if side == wanted] for wanted in (0, 1))
    markers = len(ids) - len(asked) - len(told)
    frame = set(range(len(ids))).difference(told, asked[(max_length - markers) // 2 :])
    room = max_length - len(frame)
    overlap = min(OVERLAP, room // 2)
    windows = []
    for start in range(0, max(1, len(told) - overlap), room - overlap):
        tokens = range(len(told))[start : start + room]
        places = sorted(frame.union(told[start : start + room]))
        features = {
            "input_ids": [ids[place] for place in places],
            "token_type_ids": [types[place] for place in places],
        }
        windows.append(Window(features, tokens, places.index(told[start]) if tokens else 0))
    return CutContext([offsets[place] for place in told], windows)
