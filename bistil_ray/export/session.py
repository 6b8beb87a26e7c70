"""An ONNX file in the place of a PyTorch model, so that whatever scores one scores the other."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor
from transformers import PreTrainedConfig
from transformers.utils import ModelOutput

from ..errors import ConfigError

PACKAGES = ("onnx", "onnxruntime", "onnxscript")


def require_onnx(flag: str) -> None:
    """ConfigError, naming what to install, unless the packages for ONNX are there; ``flag`` is what asked for them."""
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        raise ConfigError(f"{flag} needs {', '.join(missing)}: pip install 'bistil-ray[export]'")


class OnnxModel:
    """A session of onnxruntime on the CPU that is called like a model of transformers in evaluation mode.

    It has what ``evaluate/predict.py`` and ``models/heads.py`` ask of a model, and nothing else.
    """

    device = torch.device("cpu")
    training = False

    def __init__(self, file: Path, config: PreTrainedConfig, threads: int | None = None) -> None:
        """Open ``file``; ``config`` is that of the model it was made of; ``threads`` is all cores if not given."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or 0
        self.config = config
        self._session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
        self._inputs = [entry.name for entry in self._session.get_inputs()]
        self._outputs = [entry.name for entry in self._session.get_outputs()]

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        word_starts: Tensor | None = None,
    ) -> ModelOutput:
        """Run the graph on int64 inputs (B, T); by default all is seen, of one segment, each token a word."""
        given = {
            "input_ids": input_ids,
            "attention_mask": torch.ones_like(input_ids) if attention_mask is None else attention_mask,
            "token_type_ids": torch.zeros_like(input_ids) if token_type_ids is None else token_type_ids,
            "word_starts": _each_position(input_ids) if word_starts is None else word_starts,
        }
        values = {name: value.numpy() for name, value in given.items() if name in self._inputs}
        outputs = self._session.run(self._outputs, values)
        return ModelOutput(dict(zip(self._outputs, map(torch.from_numpy, outputs), strict=True)))

    __call__ = forward

    def eval(self) -> OnnxModel:
        """Give itself: it knows no other mode."""
        return self

    def train(self, mode: bool = True) -> OnnxModel:
        """Give itself: it cannot be trained."""
        return self


def _each_position(ids_BT: Tensor) -> Tensor:
    # What a parser takes for words if it is told nothing (see models/parser.py).
    return torch.arange(1, ids_BT.shape[1]).expand(len(ids_BT), -1)
