"""How good predicted dependency trees are: attachment scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

Arc = tuple[int, str]
"""A word's head, 0 for the root or the number of a word from 1, and its relation to it."""


@dataclass(frozen=True)
class AttachmentScores:
    """Shares of words with the right head (UAS), and with the right head and relation (LAS).

    The rootless ones leave out words whose right head is the root. The published code does so for models whose pad id
    is 0, since there it takes such words for padding; only these scores compare with its own.
    """

    uas: float
    las: float
    uas_rootless: float
    las_rootless: float


def attachment_scores(gold: Sequence[Sequence[Arc]], predicted: Sequence[Sequence[Arc | None]]) -> AttachmentScores:
    """Compare word by word, punctuation like any other; None, where nothing was predicted, is wrong.

    Scores of no words at all are 0.
    """
    pairs = [pair for rows in zip(gold, predicted, strict=True) for pair in zip(*rows, strict=True)]
    rootless = [(right, found) for right, found in pairs if right[0] != 0]
    return AttachmentScores(_uas(pairs), _las(pairs), _uas(rootless), _las(rootless))


def _uas(pairs: Sequence[tuple[Arc, Arc | None]]) -> float:
    return sum(found is not None and found[0] == right[0] for right, found in pairs) / max(1, len(pairs))


def _las(pairs: Sequence[tuple[Arc, Arc | None]]) -> float:
    return sum(found == right for right, found in pairs) / max(1, len(pairs))
