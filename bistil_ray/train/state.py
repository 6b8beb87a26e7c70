"""Checkpoints of a training phase: safetensors and JSON only, written whole or not at all.

A checkpoint is a folder ``step-000123/`` with the trainable parameters, the optimiser's tensors and ``state.json``.
Randomness needs no saving: every generator is derived from (seed, step).
"""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ..storage import replacing, write_text

log = logging.getLogger(__name__)
KEPT = 2


def save_checkpoint(
    folder: Path, step: int, model: nn.Module, optimizer: torch.optim.Optimizer, facts: dict[str, Any]
) -> None:
    """Write the checkpoint of ``step`` into ``folder`` and drop all but the newest two."""
    names = _names(model, optimizer)
    tensors = {f"model/{name}": parameter.detach() for name, parameter in _trainable(model).items()}
    for parameter, state in optimizer.state.items():
        for key, value in state.items():
            tensors[f"optimizer/{key}/{names[parameter]}"] = torch.as_tensor(value)
    with replacing(folder / f"step-{step:09d}") as temporary:
        temporary.mkdir(parents=True)
        save_file(
            {name: tensor.contiguous().cpu() for name, tensor in tensors.items()}, temporary / "state.safetensors"
        )
        write_text(temporary / "state.json", json.dumps({"step": step, **facts}))
    for old in checkpoints(folder)[KEPT:]:
        shutil.rmtree(old, ignore_errors=True)


def checkpoints(folder: Path) -> list[Path]:
    """List the checkpoints in ``folder``, newest first."""
    return sorted(folder.glob("step-*"), reverse=True)


def load_checkpoint(folder: Path, model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Any] | None:
    """Restore the newest readable checkpoint; give its facts, or None where there is none.

    A checkpoint that cannot be read is passed over for an older one, with a warning in the log.
    """
    for path in checkpoints(folder):
        try:
            facts: dict[str, Any] = json.loads((path / "state.json").read_text(encoding="utf-8"))
            tensors = load_file(path / "state.safetensors")
            _restore(tensors, model, optimizer)
        except (OSError, ValueError, KeyError, SafetensorError) as problem:
            log.warning("checkpoint %s cannot be used (%s); trying an older one", path, problem)
            continue
        return facts
    return None


def _trainable(model: nn.Module) -> dict[str, nn.Parameter]:
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


def _names(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[Tensor, str]:
    known = {parameter: name for name, parameter in _trainable(model).items()}
    return {parameter: known[parameter] for group in optimizer.param_groups for parameter in group["params"]}


def _restore(tensors: dict[str, Tensor], model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    parameters = _trainable(model)
    states: dict[Tensor, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        if name.startswith("optimizer/"):
            _, key, owner = name.split("/", 2)
            states.setdefault(parameters[owner], {})[key] = value
        elif parameters[name.removeprefix("model/")].shape != value.shape:
            raise ValueError(f"{name} has another shape")
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(tensors[f"model/{name}"])
    for trained, state in states.items():
        optimizer.state[trained] = {
            key: value if key == "step" else value.to(trained.device, trained.dtype) for key, value in state.items()
        }
