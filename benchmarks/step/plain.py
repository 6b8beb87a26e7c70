"""Phase 1 written down plainly, as the published method does it: what the product's step is compared with.

Eager attention in all layers of both models, whose maps and states are all kept; float32, or what autocast makes of it;
the attention loss over the entries that the teacher's probabilities choose; AdamW as torch has it by default.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import BertForMaskedLM, BertModel

from bistil_ray.train.optim import autocast

from .shapes import PAIRS


class PlainStep:
    """Take optimiser steps with hidden and attention distances; ``step(batch)`` gives the two losses."""

    def __init__(self, teacher: BertForMaskedLM, student: BertForMaskedLM, lr: float, precision: str) -> None:
        """Copy both encoders into models with eager attention and a pooler, as loading by default gives them."""
        self.precision = precision
        self.teacher, self.student = _encoder(teacher).eval(), _encoder(student).train()
        self.optimizer = torch.optim.AdamW(self.student.parameters(), lr=lr, weight_decay=0.0)

    def __call__(self, batch: Mapping[str, Tensor]) -> dict[str, float]:
        """Take one step."""
        with autocast(self.precision, self.student.device):
            losses = self._losses(batch)
        (losses["hidden"] + losses["attention"]).backward()
        nn.utils.clip_grad_norm_(self.student.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()
        return {name: value.item() for name, value in losses.items()}

    def _losses(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        with torch.no_grad():
            taught = self.teacher(**batch, output_hidden_states=True, output_attentions=True)
        seen = self.student(**batch, output_hidden_states=True, output_attentions=True)
        states, maps = PAIRS
        targets = [taught.hidden_states[state] for state in states]
        hidden = [F.mse_loss(ours, theirs) for ours, theirs in zip(seen.hidden_states, targets, strict=True)]
        attention = [
            F.mse_loss(ours[theirs != 0], theirs[theirs != 0])
            for ours, theirs in zip(seen.attentions, [taught.attentions[layer] for layer in maps], strict=True)
        ]
        return {"hidden": torch.stack(hidden).mean(), "attention": torch.stack(attention).mean()}


def _encoder(model: BertForMaskedLM) -> BertModel:
    config = model.config
    config._attn_implementation = "eager"
    encoder = BertModel(config)
    encoder.load_state_dict(model.bert.state_dict(), strict=False)
    return encoder.to(model.device)
