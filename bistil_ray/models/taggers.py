"""Taggers: encoders with a token-classification head, new or loaded."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
from transformers import AutoModelForTokenClassification, PreTrainedModel

from ..errors import ModelError


def new_tagger(folder: str | Path, labels: Sequence[str], seed: int) -> PreTrainedModel:
    """Load an encoder with a fresh head for ``labels`` whose weights depend on ``seed`` alone, in float32."""
    torch.manual_seed(seed)
    model: PreTrainedModel = AutoModelForTokenClassification.from_pretrained(
        folder,
        dtype=torch.float32,
        trust_remote_code=False,
        weights_only=True,
        id2label=dict(enumerate(labels)),
        label2id={label: index for index, label in enumerate(labels)},
    )
    return model


def load_tagger(folder: str | Path) -> PreTrainedModel:
    """Load a fine-tuned tagger in float32 for evaluation; ModelError where it cannot be read or has no trained head."""
    try:
        model, report = AutoModelForTokenClassification.from_pretrained(
            folder, dtype=torch.float32, trust_remote_code=False, weights_only=True, output_loading_info=True
        )
    except Exception as problem:  # damaged files make the readers of several formats raise what they like
        raise ModelError(f"{folder} cannot be read as a tagger: {str(problem).splitlines()[0]}") from problem
    if report["missing_keys"]:
        raise ModelError(
            f"{folder} is not fine-tuned for tagging: "
            f"it has no weights for {', '.join(sorted(report['missing_keys'])[:2])}"
        )
    tagger: PreTrainedModel = model.eval()
    return tagger


def model_labels(model: PreTrainedModel) -> tuple[str, ...]:
    """Give a tagger's labels in the order of its output."""
    names = model.config.id2label
    return tuple(names[index] for index in range(len(names)))


def check_labels(place: str | Path, found: Iterable[str], wanted: Iterable[str]) -> None:
    """ModelError unless a given task teacher's labels are those of the data; their order may differ."""
    found, wanted = sorted(found), sorted(wanted)
    if found != wanted:
        raise ModelError(
            f"the task teacher {str(place)!r} has the labels {', '.join(found)}, but the training data has "
            f"{', '.join(wanted)}: choose another --set task_teacher=... or map labels with label_map"
        )
