"""Models of the golden folder, loaded under the names that its files and records have for their heads."""

from __future__ import annotations

from pathlib import Path

from transformers import AutoConfig, PreTrainedModel

from bistil_ray.models.families import family_of

HEADS = {
    "base": "base",
    "mlm": "masked-lm",
    "tc": "token-classification",
    "sc": "sequence-classification",
    "qa": "question-answering",
}
"""What this package calls a head, by what the golden folder does."""


def load(folder: Path, head: str) -> PreTrainedModel:
    return family_of(AutoConfig.from_pretrained(folder)).head_class(HEADS[head]).from_pretrained(folder)
