"""What BISTIL's baselines minimise in phase 1: the triple loss of DistilmBERT, the relations of MiniLMv2."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import PreTrainedModel

from ..data.masking import IGNORED
from ..losses.hidden import cosine_distance
from ..losses.logits import kl_divergence, label_cross_entropy
from ..losses.relation import relation_divergence
from ..models.heads import model_inputs
from ..models.logits_at import states_and_logits_at
from ..models.look import Look, Wanted, look_at
from .phase import Batch, Counts

TRIPLE_WEIGHTS = {"kl": 5.0, "mlm": 2.0, "cosine": 1.0}
TRIPLE_TEMPERATURE = 2.0


@dataclass
class TripleDistillation:
    """DistilmBERT's objective: the teacher's predictions, the masked tokens, the direction of the last hidden states.

    Both models are whole masked language models of one vocabulary and width. Weights and temperature are those of the
    published recipe, which compares predictions at all tokens. ``look`` is how the teacher is looked at.
    """

    model: PreTrainedModel
    teacher: PreTrainedModel
    look: Look = look_at

    def __post_init__(self) -> None:
        """Freeze the teacher."""
        self.teacher.requires_grad_(False).eval()

    def counts(self, batch: Batch) -> dict[str, float]:
        """Count positions and masked tokens."""
        positions = float(batch["attention_mask"].sum())
        masked = float((batch["labels"] != IGNORED).sum())
        return {"kl": positions, "mlm": masked, "cosine": positions}

    def losses(self, batch: Batch, counts: Counts) -> dict[str, Tensor]:
        """KL divergence at temperature 2, cross-entropy of masked tokens, cosine distance; weighted 5, 2 and 1."""
        valid_BT, labels_BT = _attended(batch), batch["labels"]
        with torch.no_grad():
            wanted = Wanted(hidden=(self.teacher.config.num_hidden_layers,), places=(_attended,))
            taught = self.look(self.teacher, batch, wanted)
        seen_BTD, seen_NV = states_and_logits_at(self.model, model_inputs(self.model, batch), valid_BT)
        labels_N = labels_BT[valid_BT]
        masked_N = labels_N != IGNORED
        entropy = label_cross_entropy(seen_NV[masked_N], labels_N[masked_N])
        terms = {
            "kl": kl_divergence(seen_NV, taught.output.logits[0], TRIPLE_TEMPERATURE, counts["kl"]),
            "mlm": entropy / counts["mlm"],
            "cosine": cosine_distance(seen_BTD, taught.hidden[0], valid_BT, counts["cosine"]),
        }
        return {name: TRIPLE_WEIGHTS[name] * value for name, value in terms.items()}


@dataclass
class RelationDistillation:
    """MiniLMv2's objective: relations among queries, keys and values of the student's last and one teacher layer.

    Both models are bare encoders, whose widths, heads and layers may differ. ``teacher_layer`` is counted from 0: the
    last one for a base teacher; from large ones the authors take one further down (20 of BERT's 24, 18 of XLM-R's).
    For ``relation_heads`` see ``choose_relation_heads``. What follows the queries, keys and values of the student's
    last layer gets no gradient, as in the paper: a task trains it. ``look`` is how the teacher is looked at.
    """

    model: PreTrainedModel
    teacher: PreTrainedModel
    teacher_layer: int
    relation_heads: int
    look: Look = look_at

    def __post_init__(self) -> None:
        """Freeze the teacher."""
        self.teacher.requires_grad_(False).eval()

    def counts(self, batch: Batch) -> dict[str, float]:
        """Count positions."""
        return {"relation": float(batch["attention_mask"].sum())}

    def losses(self, batch: Batch, counts: Counts) -> dict[str, Tensor]:
        """Mean KL divergence of the three relations."""
        valid_BT = batch["attention_mask"].bool()
        last = self.model.config.num_hidden_layers - 1
        with torch.no_grad():
            taught = self.look(self.teacher, batch, Wanted(vectors=(self.teacher_layer,)))
        seen = look_at(self.model, batch, Wanted(vectors=(last,)))
        loss = relation_divergence(
            seen.vectors[0][:3],
            taught.vectors[0][:3],
            self.relation_heads,
            None if bool(valid_BT.all()) else valid_BT,
            counts["relation"],
        )
        return {"relation": loss}


def _attended(batch: Batch) -> Tensor:
    return batch["attention_mask"].bool()
