"""Masked language modelling on vocabularies of any size."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from transformers import PreTrainedModel
from transformers.utils import ModelOutput

from ..data.masking import IGNORED
from ..losses.logits import label_cross_entropy
from ..models.logits_at import logits_at
from .phase import Batch, Counts


@dataclass
class MaskedLanguageModelling:
    """Cross-entropy on corrupted tokens; logits are made at their positions only."""

    model: PreTrainedModel

    def counts(self, batch: Batch) -> dict[str, float]:
        """Count corrupted tokens."""
        return {"mlm": float((batch["labels"] != IGNORED).sum())}

    def losses(self, batch: Batch, counts: Counts) -> dict[str, Tensor]:
        """Cross-entropy summed over corrupted tokens, divided by their global count."""
        chosen_BT = batch["labels"] != IGNORED
        inputs = {name: batch[name] for name in ("input_ids", "attention_mask")}
        logits_MV = logits_at(self.model, inputs, chosen_BT)
        loss = label_cross_entropy(logits_MV, batch["labels"][chosen_BT])
        return {"mlm": loss / counts["mlm"]}


class MaskedTokens:
    """What each corrupted token was, as the decisions of a masked language model whose head looks at those alone."""

    def targets(self, batch: Batch) -> dict[str, Tensor]:
        """Give the corrupted tokens (M,) themselves."""
        return {"tokens": batch["labels"][self.places(batch)]}

    def logits(self, output: ModelOutput, batch: Batch) -> dict[str, Tensor]:
        """Give the logits (M, V) at their places."""
        return {"tokens": output.logits[0]}

    @staticmethod
    def places(batch: Batch) -> Tensor:
        """Say where (BT) tokens were corrupted."""
        return batch["labels"] != IGNORED
