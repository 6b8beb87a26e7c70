"""Folders to take away: a model for the hub, as ONNX or in int8, with tokenizer and card; never half written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from ..data.batches import Features, pad_batch
from ..data.examples import Examples
from ..errors import ModelError
from ..evaluate.speed import weight_bytes
from ..models.families import family_of
from ..models.heads import load_model, model_inputs, model_labels
from ..models.language_tokenizers import copy_tokenizers, tokenizer_beside, tokenizer_for
from ..models.loading import load_masked_lm
from ..storage import replacing, write_text
from ..tasks.task import Task, score
from .forms import Form
from .graph import write_onnx
from .heads import MASKED_LM, Head, head_of, read_config
from .likeness import largest_difference, probes
from .origin import CARD
from .quantise import quantise
from .session import OnnxModel

FORMATS = ("hf", "onnx", "onnx-int8")
ONNX_FILES = {"onnx": "model.onnx", "onnx-int8": "model.int8.onnx"}
LARGEST_DIFFERENCE = 1e-3
"""Above it an ONNX file does not compute what the model does; float32 alone gives about 1e-5."""


@dataclass(frozen=True)
class Subject:
    """A model to take away, with its head and the tokenizer beside it; others may lie in its folder."""

    folder: Path
    head: Head
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerFast


@dataclass(frozen=True)
class LabelledSet:
    """Labelled examples of one language, to score every form of a model on."""

    lang: str
    task: Task
    examples: Examples
    max_length: int | None = None
    """Tokens of a text that count; as many as the model takes if None."""


def load_subject(folder: Path) -> Subject:
    """Load a fine-tuned model, or a masked language model, with its tokenizer; ModelError where it is none."""
    head = head_of(read_config(folder), folder)
    return Subject(folder, head, load(head, folder), tokenizer_beside(folder))


def load(head: Head, folder: Path) -> PreTrainedModel:
    """Load the model in ``folder``, whose head it is."""
    return load_masked_lm(folder) if head == MASKED_LM else load_model(head.name, folder)


def package(
    subject: Subject, form: str, out: Path, tests: Sequence[LabelledSet], card: Callable[[Sequence[Form]], str]
) -> list[Form]:
    """Write the folder ``out`` with the model in ``form`` (one of FORMATS), and give what was measured on the way.

    The first form is the model as it came; an int8 file is made of an ONNX one, which is measured too. ``card`` writes
    the README.md out of the forms. Nothing is left of a folder that could not be finished. ModelError if the logits of
    an ONNX file are not those of the model.
    """
    forms = [Form("PyTorch", weight_bytes(subject.model), scores=_scores(subject.model, subject, tests))]
    with replacing(out) as folder:
        folder.mkdir()
        copy_tokenizers(subject.folder, folder)
        if form == "hf":
            subject.model.save_pretrained(folder)
        else:
            subject.model.config.save_pretrained(folder)
            forms += _write_onnx_forms(subject, form, folder, tests)
        write_text(folder / CARD, card(forms))
    return forms


def onnx_file(folder: Path) -> Path | None:
    """Find the ONNX file in an exported folder; None if it holds none."""
    return next((folder / name for name in ONNX_FILES.values() if (folder / name).is_file()), None)


def _write_onnx_forms(subject: Subject, form: str, folder: Path, tests: Sequence[LabelledSet]) -> list[Form]:
    features = probes(subject.head, subject.model, subject.tokenizer)
    exact, small = (folder / ONNX_FILES[name] for name in ("onnx", "onnx-int8"))
    batch = pad_batch(features, subject.tokenizer.pad_token_id)
    write_onnx(subject.model, model_inputs(subject.model, batch), exact)
    forms = [_measured("ONNX", exact, subject, features, tests)]
    if forms[0].difference > LARGEST_DIFFERENCE:
        raise ModelError(
            f"the ONNX graph of {subject.folder} is wrong: its logits differ from PyTorch's by "
            f"{forms[0].difference:.1e} (of 1 + |logit|; allowed: {LARGEST_DIFFERENCE:g}); nothing was written"
        )
    if form == "onnx-int8":
        quantise(exact, small)
        exact.unlink()
        forms.append(_measured("ONNX int8", small, subject, features, tests))
    return forms


def _measured(
    name: str, file: Path, subject: Subject, features: Sequence[Features], tests: Sequence[LabelledSet]
) -> Form:
    model = OnnxModel(file, subject.model.config)
    difference = largest_difference(subject.model, model, features, subject.tokenizer.pad_token_id)
    return Form(name, file.stat().st_size, difference, _scores(model, subject, tests))


def _scores(model: Any, subject: Subject, tests: Sequence[LabelledSet]) -> dict[str, float]:  # noqa: ANN401
    labels = model_labels(subject.model)
    most = family_of(subject.model.config).longest_text(subject.model.config)
    with torch.inference_mode():
        return {
            test.lang: score(
                test.task,
                model,
                tokenizer_for(subject.folder, test.lang),
                test.examples,
                labels,
                min(test.max_length or most, most),
            ).score
            for test in tests
        }
