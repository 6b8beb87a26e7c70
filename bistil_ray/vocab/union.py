"""The union of several teachers' vocabularies: every teacher's id has an id of the student.

Tokens are one where they are the same string of the same convention: "ing" of WordPiece, which begins a word, and
"ing" of SentencePiece, which does not, stay two. Special tokens are one by what they are for, however they are
written.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from transformers import PreTrainedTokenizerFast

from ..errors import ModelError
from .backend import backend_state, convention, token_ids

# The tokens that encoders share by role, and what tokenizers call them: the first one that there is counts.
ROLES = {
    "pad": ("pad_token",),
    "unknown": ("unk_token",),
    "begin": ("cls_token", "bos_token"),
    "end": ("sep_token", "eos_token"),
    "mask": ("mask_token",),
}

Key = tuple[str, str]
"""What makes two tokens one: the convention they are written in, or "role", and the string, or the role."""


@dataclass(frozen=True)
class Union:
    """A vocabulary of ``size`` tokens; ``maps`` give the id there of each id of each teacher: int64 (V,), injective."""

    size: int
    maps: tuple[np.ndarray, ...]


def unite(tokenizers: Sequence[PreTrainedTokenizerFast]) -> Union:
    """Put vocabularies together: the first keeps its ids, each next one's new tokens follow in their order.

    ModelError for a tokenizer whose ids are not 0 to V - 1, a token each.
    """
    ids: dict[Key, int] = {}
    maps = [
        np.array([ids.setdefault(key, len(ids)) for key in token_keys(tokenizer)], dtype=np.int64)
        for tokenizer in tokenizers
    ]
    return Union(len(ids), tuple(maps))


def token_keys(tokenizer: PreTrainedTokenizerFast) -> list[Key]:
    """Give the key of each token, in the order of ids."""
    state = backend_state(tokenizer)
    tokens = sorted(token_ids(state).items(), key=lambda entry: entry[1])
    if [index for _, index in tokens] != list(range(len(tokens))):
        raise ModelError(
            f"the tokenizer of {tokenizer.name_or_path!r} leaves ids out or gives one to two tokens: "
            f"its {len(tokens)} tokens must have the ids 0 to {len(tokens) - 1} to be merged (--teachers)"
        )
    roles = special_roles(tokenizer)
    written = convention(state)
    return [("role", roles[token]) if token in roles else (written, token) for token, _ in tokens]


def special_roles(tokenizer: PreTrainedTokenizerFast) -> dict[str, str]:
    """Give the role of each of a tokenizer's special tokens that has one; of one with several, the first."""
    roles: dict[str, str] = {}
    for role, names in ROLES.items():
        token = next((token for name in names if (token := getattr(tokenizer, name)) is not None), None)
        if token is not None:
            roles.setdefault(token, role)
    return roles
