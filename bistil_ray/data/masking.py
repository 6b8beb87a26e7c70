"""Corruption of blocks for masked language modelling."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from ..errors import ModelError

IGNORED = -100
"""Label of a position that carries none."""

# Of the chosen positions 80 % become the mask token, 10 % a random token, 10 % stay (BERT).
_MASKED, _RANDOM = 0.8, 0.1


@dataclass(frozen=True)
class MaskingVocabulary:
    """What corruption needs to know of a tokenizer; special ids include the unknown token."""

    vocab_size: int
    mask_id: int
    special_ids: tuple[int, ...]

    @classmethod
    def from_tokenizer(cls, tokenizer: PreTrainedTokenizerBase) -> MaskingVocabulary:
        """Take the facts from a tokenizer; ModelError if it has no mask token."""
        if tokenizer.mask_token_id is None:
            raise ModelError(f"the tokenizer of {tokenizer.name_or_path!r} has no mask token")
        return cls(len(tokenizer), int(tokenizer.mask_token_id), tuple(sorted(set(tokenizer.all_special_ids))))

    @cached_property
    def is_ordinary(self) -> Tensor:
        """Which ids may be masked and may replace others: bool (V,)."""
        ordinary = torch.ones(self.vocab_size, dtype=torch.bool)
        ordinary[list(self.special_ids)] = False
        return ordinary

    @cached_property
    def ordinary_ids(self) -> Tensor:
        """The ids that are not special, ascending."""
        return self.is_ordinary.nonzero().squeeze(1)


def corrupt(
    ids_BT: Tensor, vocabulary: MaskingVocabulary, probability: float, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Choose positions with ``probability`` each and corrupt them; give inputs and labels, int64 (B, T).

    Labels hold the true id at chosen positions and ``IGNORED`` elsewhere. Special tokens are never chosen
    and never drawn as replacements (the published code draws them). The generator is moved on by the same
    amount for every batch of one shape, whatever the ids are.
    """
    chance_BT = torch.rand(ids_BT.shape, generator=generator)
    fate_BT = torch.rand(ids_BT.shape, generator=generator)
    draws_BT = torch.randint(len(vocabulary.ordinary_ids), ids_BT.shape, generator=generator)
    chosen_BT = (chance_BT < probability) & vocabulary.is_ordinary[ids_BT]
    masked_BT = chosen_BT & (fate_BT < _MASKED)
    random_BT = chosen_BT & (fate_BT >= _MASKED) & (fate_BT < _MASKED + _RANDOM)
    inputs_BT = ids_BT.masked_fill(masked_BT, vocabulary.mask_id)
    inputs_BT = torch.where(random_BT, vocabulary.ordinary_ids[draws_BT], inputs_BT)
    return inputs_BT, ids_BT.masked_fill(~chosen_BT, IGNORED)
