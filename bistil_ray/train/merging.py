"""What a student of many teachers minimises: masked language modelling mixed with their predictions (MergeDistill)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from transformers import PreTrainedModel

from ..data.masking import IGNORED
from ..losses.logits import label_cross_entropy
from ..losses.topk import top_k_divergence
from ..models.logits_at import logits_at
from .phase import Batch, Counts


@dataclass
class Merging:
    """A mix of masked language modelling, of weight ``mlm_weight``, and KL divergence from known predictions.

    A batch holds ``input_ids``, ``attention_mask`` and ``labels`` (BT), and where a label is, the K tokens that the
    teacher finds most likely, ``teacher_ids`` (BTK), with their ``teacher_log_probabilities`` (BTK); all in the
    student's ids. For ``rest`` see ``top_k_divergence``. A term of weight 0 is not computed.
    """

    model: PreTrainedModel
    mlm_weight: float
    rest: bool = False

    @property
    def _weights(self) -> dict[str, float]:
        weights = {"mlm": self.mlm_weight, "kl": 1 - self.mlm_weight}
        return {name: weight for name, weight in weights.items() if weight}

    def counts(self, batch: Batch) -> dict[str, float]:
        """Count masked tokens."""
        return dict.fromkeys(self._weights, float((batch["labels"] != IGNORED).sum()))

    def losses(self, batch: Batch, counts: Counts) -> dict[str, Tensor]:
        """Cross-entropy and KL divergence, summed over masked tokens, divided by their global count, and weighted."""
        weights = self._weights
        chosen_BT = batch["labels"] != IGNORED
        logits_MV = logits_at(self.model, {name: batch[name] for name in ("input_ids", "attention_mask")}, chosen_BT)
        losses: dict[str, Tensor] = {}
        if "mlm" in weights:
            labels_M = batch["labels"][chosen_BT]
            entropy = label_cross_entropy(logits_MV, labels_M)
            losses["mlm"] = weights["mlm"] * entropy / counts["mlm"]
        if "kl" in weights:
            known = batch["teacher_ids"][chosen_BT], batch["teacher_log_probabilities"][chosen_BT]
            losses["kl"] = weights["kl"] * top_k_divergence(logits_MV, *known, self.rest, counts["kl"])
        return losses
