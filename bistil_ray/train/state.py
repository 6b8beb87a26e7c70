"""Checkpoints of a training phase: safetensors and JSON only, written whole or not at all, checked when read.

A checkpoint is a folder ``step-000123/`` with the parameters of an optimiser, their mean where one is kept, the
optimiser's tensors for each and ``state.json``, which holds what else there is to know and a digest of it all.
Randomness needs no saving: every generator is derived from (seed, step).
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from ..storage import replacing, write_text

log = logging.getLogger(__name__)
KEPT = 2
TENSORS = "state.safetensors"


def save_checkpoint(
    folder: Path,
    step: int,
    named: Mapping[str, Tensor],
    optimizer: torch.optim.Optimizer,
    facts: dict[str, Any],
) -> None:
    """Write the checkpoint of ``step`` into ``folder`` and drop all but the newest two.

    ``named`` are the parameters of the ``optimizer``, whole ones of a model or rows of chosen entries, and what else
    there is by name.
    """
    names: dict[Tensor, str] = {parameter: name for name, parameter in named.items()}
    tensors = {f"model/{name}": parameter.detach() for name, parameter in named.items()}
    for parameter, state in optimizer.state.items():
        for key, value in state.items():
            tensors[f"optimizer/{key}/{names[parameter]}"] = torch.as_tensor(value)
    with replacing(folder / f"step-{step:09d}") as temporary:
        temporary.mkdir(parents=True)
        save_file({name: tensor.contiguous().cpu() for name, tensor in tensors.items()}, temporary / TENSORS)
        known = {"facts": facts, "digest": _digest(temporary / TENSORS, facts)}
        write_text(temporary / "state.json", json.dumps(known))
    for old in checkpoints(folder)[KEPT:]:
        shutil.rmtree(old, ignore_errors=True)


def checkpoints(folder: Path) -> list[Path]:
    """List the checkpoints in ``folder``, newest first."""
    return sorted(folder.glob("step-*"), reverse=True)


def load_checkpoint(
    folder: Path, named: Mapping[str, Tensor], optimizer: torch.optim.Optimizer
) -> dict[str, Any] | None:
    """Restore the newest readable checkpoint; give its facts, or None where there is none.

    A checkpoint that cannot be read is passed over for an older one, with a warning in the log.
    """
    for path in checkpoints(folder):
        try:
            known = json.loads((path / "state.json").read_text(encoding="utf-8"))
            facts: dict[str, Any] = known["facts"]
            if _digest(path / TENSORS, facts) != known["digest"]:
                raise ValueError("it is damaged")
            _restore(load_file(path / TENSORS), named, optimizer)
        except (OSError, ValueError, KeyError, TypeError, SafetensorError) as problem:
            log.warning("checkpoint %s cannot be used (%s); trying an older one", path, problem)
            continue
        return facts
    return None


def _digest(tensors: Path, facts: dict[str, Any]) -> str:
    with tensors.open("rb") as stream:
        digest = hashlib.file_digest(stream, "blake2b")
    digest.update(json.dumps(facts, sort_keys=True).encode())
    return digest.hexdigest()


def _restore(tensors: Mapping[str, Tensor], parameters: Mapping[str, Tensor], optimizer: torch.optim.Optimizer) -> None:
    held = {name.removeprefix("model/") for name in tensors if name.startswith("model/")}
    if held != parameters.keys():
        raise ValueError("it is of another model")
    places = {parameter: place for place, parameter in enumerate(_parameters_of(optimizer))}
    states: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        if name.startswith("optimizer/"):
            _, key, owner = name.split("/", 2)
            states.setdefault(places[parameters[owner]], {})[key] = value
        elif parameters[name.removeprefix("model/")].shape != value.shape:
            raise ValueError(f"{name} has another shape")
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(tensors[f"model/{name}"])
    # Where each tensor must lie, the optimiser knows: fused AdamW wants even its count of steps on the device.
    optimizer.load_state_dict({**optimizer.state_dict(), "state": states})


def _parameters_of(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]
