"""What each training phase minimises: thin compositions of the losses over a teacher and a student.

Every loss term names the count it is divided by, so that the loop can pass the count of the whole batch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..data.masking import IGNORED
from ..losses.attention import attention_mse
from ..losses.hidden import hidden_mse
from ..losses.logits import soft_cross_entropy
from ..models.states import Alignment, observe
from .loop import Batch, Counts


@dataclass
class Distillation:
    """BISTIL's objectives: hidden and attention states of phase 1 and, with logits, the task distillation of phase 2.

    ``weights`` holds ``hidden``, ``attention`` and ``logits``; a term of weight 0 is not computed. ``reference`` takes
    padding as the published implementation does: hidden states of padding count, rows of padded queries count.
    Both models read the same ids. The soft cross-entropy runs over labelled positions.
    """

    model: nn.Module
    teacher: nn.Module
    alignment: Alignment
    weights: Mapping[str, float]
    temperature: float = 2.0
    reference: bool = False

    def __post_init__(self) -> None:
        """Freeze the teacher."""
        self.teacher.requires_grad_(False).eval()

    def counts(self, batch: Batch) -> dict[str, float]:
        """Count positions, attended pairs (times heads later on) and labelled rows, of the terms with a weight."""
        valid = batch["attention_mask"]
        lengths = valid.sum(1, dtype=torch.float64)
        counts = {
            "hidden": float(valid.numel() if self.reference else lengths.sum()),
            "attention": float((lengths * valid.shape[1]).sum() if self.reference else lengths.square().sum()),
        }
        if "labels" in batch:
            counts["logits"] = float((batch["labels"] != IGNORED).sum())
        return {name: count for name, count in counts.items() if self.weights.get(name, 0) > 0}

    def losses(self, batch: Batch, counts: Counts) -> dict[str, Tensor]:
        """Hidden MSE, attention MSE and soft cross-entropy, weighted (BISTIL, both phases)."""
        valid = batch["attention_mask"]
        inputs = {"input_ids": batch["input_ids"], "attention_mask": valid}
        matched = self.weights.get("attention", 0) > 0
        pairs = self.alignment
        with torch.no_grad():
            taught = observe(self.teacher, inputs, pairs.teacher_hidden, pairs.teacher_attention if matched else ())
        seen = observe(self.model, inputs, pairs.student_hidden, pairs.student_attention if matched else ())
        losses: dict[str, Tensor] = {}
        full = bool(valid.all())
        if self.weights.get("hidden", 0) > 0:
            mask = None if full or self.reference else valid
            losses["hidden"] = self.weights["hidden"] * hidden_mse(seen.hidden, taught.hidden, mask, counts["hidden"])
        if matched:
            queries = torch.ones_like(valid) if self.reference else valid
            counted = None if full else queries[:, :, None] * valid[:, None, :]
            entries = counts["attention"] * taught.attention[0].shape[1]
            loss = attention_mse(seen.attention, taught.attention, counted, entries)
            losses["attention"] = self.weights["attention"] * loss
        if self.weights.get("logits", 0) > 0:
            rows = batch["labels"] != IGNORED
            loss = soft_cross_entropy(
                seen.output.logits[rows], taught.output.logits[rows], self.temperature, rows=counts["logits"]
            )
            losses["logits"] = self.weights["logits"] * loss
        return losses


@dataclass
class LabelLearning:
    """Cross-entropy on labels: of the task for a task teacher, of masked tokens for a masked language model."""

    model: nn.Module
    name: str = "labels"

    def counts(self, batch: Batch) -> dict[str, float]:
        """Count labelled positions."""
        return {self.name: float((batch["labels"] != IGNORED).sum())}

    def losses(self, batch: Batch, counts: Counts) -> dict[str, Tensor]:
        """Cross-entropy summed over labelled positions, divided by their global count."""
        logits = self.model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
        flat = logits.float().flatten(0, 1) if logits.dtype != torch.float64 else logits.flatten(0, 1)
        loss = functional.cross_entropy(flat, batch["labels"].flatten(), ignore_index=IGNORED, reduction="sum")
        return {self.name: loss / counts[self.name]}
