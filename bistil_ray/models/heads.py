"""Models for a task: an encoder with a head, new or fine-tuned."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from inspect import signature
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import (
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    PreTrainedModel,
)

from ..errors import ModelError, first_line
from .families import family_of
from .parser import AutoBiaffineParser

HEADS: Mapping[str, Any] = {
    "token-classification": AutoModelForTokenClassification,
    "sequence-classification": AutoModelForSequenceClassification,
    "question-answering": AutoModelForQuestionAnswering,
    "dependency-parsing": AutoBiaffineParser,
}
"""What makes a model with each head out of an encoder's folder."""

# What batches hold for a model's forward pass; everything else in them is for the loss.
INPUTS = ("input_ids", "attention_mask", "token_type_ids", "word_starts")


def new_model(head: str, folder: str | Path, labels: Sequence[str], seed: int) -> PreTrainedModel:
    """Load an encoder with a fresh head for ``labels`` whose weights depend on ``seed`` alone, in float32.

    ``head`` is a key of ``HEADS``; a head whose outputs have no names takes no labels.
    """
    torch.manual_seed(seed)
    named = {"id2label": dict(enumerate(labels)), "label2id": {label: index for index, label in enumerate(labels)}}
    model: PreTrainedModel = HEADS[head].from_pretrained(
        folder, dtype=torch.float32, trust_remote_code=False, weights_only=True, **(named if labels else {})
    )
    return model


def load_model(head: str, folder: str | Path) -> PreTrainedModel:
    """Load a fine-tuned model in float32 for evaluation; ModelError where it cannot be read or has no trained head."""
    try:
        model, report = HEADS[head].from_pretrained(
            folder, dtype=torch.float32, trust_remote_code=False, weights_only=True, output_loading_info=True
        )
    except Exception as problem:  # damaged files make the readers of several formats raise what they like
        raise ModelError(f"{folder} cannot be read for {head}: {first_line(problem)}") from problem
    if report["missing_keys"]:
        raise ModelError(
            f"{folder} is not fine-tuned for {head}: "
            f"it has no weights for {', '.join(sorted(report['missing_keys'])[:2])}"
        )
    loaded: PreTrainedModel = model.eval()
    return loaded


def model_inputs(model: PreTrainedModel, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Choose from a batch what this model's forward pass takes; token types only where it tells segments apart."""
    taken = signature(model.forward).parameters.keys()
    segments = getattr(model.config, "type_vocab_size", 0) > 1
    names = [name for name in INPUTS if name in batch and name in taken and (segments or name != "token_type_ids")]
    return {name: batch[name] for name in names}


def head_parameters(model: PreTrainedModel) -> set[str]:
    """Name the parameters that a phase-1 student does not have: the head's, and a pooler that only a head reads."""
    prefix = family_of(model.config).parameter_prefix(model)
    names = [name for name, _ in model.named_parameters()]
    return {name for name in names if not name.startswith(prefix) or name.startswith(f"{prefix}pooler.")}


def model_labels(model: PreTrainedModel) -> tuple[str, ...]:
    """Give the labels of a model in the order of its head's outputs."""
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
