"""The models and batches that a phase-1 step is measured on, the same for both sides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import BertConfig, BertForMaskedLM, PreTrainedModel

from bistil_ray.models.student import build_student

PAIRS = ((0, 2, 4, 6, 8, 10, 12), (1, 3, 5, 7, 9, 11))
"""The teacher's states and maps (from 0) that those of a student of half as many layers learn from."""


@dataclass(frozen=True)
class Shape:
    """A teacher of 12 layers, its student of 6 as wide, and full blocks of text."""

    hidden: int
    heads: int
    vocabulary: int
    batch: int
    length: int
    teacher_layers: int = 12
    student_layers: int = 6

    @property
    def tokens(self) -> int:
        """Tokens in a batch."""
        return self.batch * self.length

    @property
    def flops(self) -> int:
        """Work of a step in matrix products, a multiply-add being 2: the teacher once, the student three times.

        Counted are linear layers and attention; embeddings are looked up.
        """
        layer = 2 * self.tokens * 12 * self.hidden**2 + 4 * self.tokens * self.length * self.hidden
        return (self.teacher_layers + 3 * self.student_layers) * layer


SHAPES: Mapping[str, Shape] = {
    "base": Shape(hidden=768, heads=12, vocabulary=30_000, batch=8, length=256),
    "small": Shape(hidden=256, heads=4, vocabulary=16_000, batch=16, length=128),
}


def make_teacher(shape: Shape) -> BertForMaskedLM:
    """Make a BERT of this shape; its weights are random but fixed, and large enough for maps that are not all alike."""
    config = BertConfig(
        vocab_size=shape.vocabulary,
        hidden_size=shape.hidden,
        num_hidden_layers=shape.teacher_layers,
        num_attention_heads=shape.heads,
        intermediate_size=4 * shape.hidden,
        initializer_range=0.05,
    )
    torch.manual_seed(0)
    return BertForMaskedLM(config)


def make_student(shape: Shape, teacher: BertForMaskedLM) -> PreTrainedModel:
    """Make the student of a teacher of this shape: of every few of its layers the second one."""
    return build_student(teacher, range(1, shape.teacher_layers, shape.teacher_layers // shape.student_layers))


def make_batch(shape: Shape, step: int) -> dict[str, Tensor]:
    """Make the batch of a step: random ids without padding."""
    generator = torch.Generator().manual_seed(step)
    ids = torch.randint(1, shape.vocabulary, (shape.batch, shape.length), generator=generator)
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
