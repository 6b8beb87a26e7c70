"""A PyTorch model as an ONNX graph: any batch size, any length, inputs and outputs by name."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.export import Dim
from transformers import PreTrainedModel

from ..errors import ModelError
from ..evaluate.speed import weight_bytes

# What the axes of a model's inputs are called in the graph; word_starts has one entry more than there are words.
AXES = {
    "input_ids": ("batch", "length"),
    "attention_mask": ("batch", "length"),
    "token_type_ids": ("batch", "length"),
    "word_starts": ("batch", "words"),
}
LARGEST_BYTES = 2 * 10**9
"""A graph in one file holds less than 2 GiB."""


def write_onnx(model: PreTrainedModel, inputs: Mapping[str, Tensor], file: Path) -> None:
    """Write ``model`` as an ONNX file whose inputs are those of ``inputs``, its outputs the tensors it gives for them.

    ``inputs`` is an example by which the graph is recorded: two rows or more, of unequal length, with padding.
    ModelError for a model that is too large for one file.
    """
    weights = weight_bytes(model)
    if weights > LARGEST_BYTES:
        raise ModelError(f"the model has {weights / 1e9:.1f} GB of weights, but an ONNX file holds less than 2 GiB")
    with torch.inference_mode():
        outputs = [name for name, value in model(**inputs).items() if isinstance(value, Tensor)]
    dims = {name: Dim(name) for axes in AXES.values() for name in axes}
    shapes = tuple({place: dims[axis] for place, axis in enumerate(AXES[name])} for name in inputs)
    with silenced():
        # The older exporter, by tracing, loses the padding mask of most families without a word.
        torch.onnx.export(
            _Plain(model, tuple(inputs), tuple(outputs)),
            tuple(inputs.values()),
            file,
            input_names=list(inputs),
            output_names=outputs,
            dynamic_shapes=(shapes,),
            dynamo=True,
            external_data=False,
            verbose=False,
        )


class _Plain(nn.Module):
    """A model that takes and gives tensors in a fixed order, which an exporter can put names to."""

    def __init__(self, model: PreTrainedModel, inputs: tuple[str, ...], outputs: tuple[str, ...]) -> None:
        super().__init__()
        self.model, self.inputs, self.outputs = model, inputs, outputs

    def forward(self, *values: Tensor) -> tuple[Tensor, ...]:
        output = self.model(**dict(zip(self.inputs, values, strict=True)))
        return tuple(output[name] for name in self.outputs)


@contextmanager
def silenced() -> Iterator[None]:
    """Keep the remarks of exporters away, which say nothing to a user (optional packages, advice for images)."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
