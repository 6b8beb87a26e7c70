"""An SFT on disk: ``sft.safetensors`` and ``sft.json``, which says what it is for and what it belongs to.

The tensors are ``indices/<name>``, ``values/<name>`` and, of what is kept whole, ``dense/<name>``. An SFT that changes
more than a third of its parameters' entries has ``differences/<name>`` in place of the first two, 0 where nothing
changes: indices would make it larger than the weights themselves.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from ..errors import ModelError
from ..storage import replacing, write_json
from .delta import SparseDelta, check_delta

WEIGHTS_FILE = "sft.safetensors"
META_FILE = "sft.json"
FORMAT = "bistil-ray-sft"
VERSION = 1
_INDEXED = 3
"""How many times the room of a value a value with its index takes."""


def save_delta(delta: SparseDelta, folder: str | Path) -> None:
    """Write ``sft.safetensors`` and then ``sft.json`` into ``folder``, each in one step.

    A ``meta`` that does not say what the SFT is raises ModelError.
    """
    folder = Path(folder)
    _check_meta(delta.meta, "the SFT to save")
    tensors = {f"dense/{name}": tensor for name, tensor in delta.dense.items()}
    if _INDEXED * delta.parameters <= sum(map(math.prod, delta.shapes.values())):
        tensors |= {f"indices/{name}": tensor for name, tensor in delta.indices.items()}
        tensors |= {f"values/{name}": tensor for name, tensor in delta.values.items()}
    else:
        tensors |= {f"differences/{name}": _spread_out(delta, name) for name in delta.shapes}
    with replacing(folder / WEIGHTS_FILE) as temporary:
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, temporary)
        digest = _sha256(temporary)
    known = {
        "format": FORMAT,
        "version": VERSION,
        **delta.meta,
        "parameters": delta.parameters,
        "shapes": {name: list(shape) for name, shape in delta.shapes.items()},
        "sha256": digest,
    }
    write_json(folder / META_FILE, known)


def load_delta(folder: str | Path) -> SparseDelta:
    """Read an SFT from ``folder``; ModelError for files that are missing, foreign or damaged."""
    folder = Path(folder)
    known = read_meta(folder / META_FILE)
    file = folder / WEIGHTS_FILE
    if not file.is_file():
        raise ModelError(f"no SFT in {folder}: {WEIGHTS_FILE} is missing")
    if _sha256(file) != known.pop("sha256"):
        raise ModelError(f"{file} is damaged, or not the file that {META_FILE} describes (checksum differs)")
    try:
        tensors = load_file(file)
    except SafetensorError as problem:
        raise ModelError(f"{file} is not a safetensors file: {problem}") from problem
    parts: dict[str, dict[str, Tensor]] = {"indices": {}, "values": {}, "dense": {}, "differences": {}}
    for key, tensor in tensors.items():
        part, _, name = key.partition("/")
        if part not in parts:
            raise ModelError(f"{file} holds {key!r}, which is no part of an SFT")
        parts[part][name] = tensor
    shapes = {name: tuple(shape) for name, shape in known.pop("shapes").items()}
    for key in ("format", "version", "parameters"):
        known.pop(key)
    for name, differences in parts["differences"].items():
        if tuple(differences.shape) != shapes.get(name):
            raise ModelError(f"{file}: the differences of {name} are not of the shape that {META_FILE} says")
        index = differences.reshape(-1).nonzero().squeeze(1)
        parts["indices"][name], parts["values"][name] = index, differences.reshape(-1)[index]
    delta = SparseDelta(parts["indices"], parts["values"], shapes, parts["dense"], known)
    check_delta(delta, str(file))
    return delta


def _spread_out(delta: SparseDelta, name: str) -> Tensor:
    """Give a parameter's differences in its shape."""
    values = delta.values[name]
    return (
        values.new_zeros(math.prod(delta.shapes[name]))
        .scatter_(0, delta.indices[name], values)
        .view(delta.shapes[name])
    )


def _check_meta(meta: Mapping[str, Any], place: str) -> None:
    missing = [key for key in ("base_model", "base_fingerprint", "density", "method") if key not in meta]
    if not meta.keys() & {"language", "task"}:
        missing.append("language or task")
    if missing:
        raise ModelError(f"{place} does not say its {', '.join(missing)}")


def read_meta(file: Path) -> dict[str, Any]:
    """Read what an SFT says of itself; ModelError where it says too little, or is of another format."""
    try:
        known = json.loads(file.read_text(encoding="utf-8"))
    except OSError as problem:
        raise ModelError(f"no SFT in {file.parent}: {META_FILE} cannot be read ({problem.strerror})") from problem
    except ValueError as problem:
        raise ModelError(f"{file} is not JSON: {problem}") from problem
    if not isinstance(known, dict) or known.get("format") != FORMAT:
        raise ModelError(f"{file} does not describe an SFT of this tool (format must be {FORMAT!r})")
    if known.get("version") != VERSION:
        raise ModelError(f"{file} has format version {known.get('version')!r}, this version reads {VERSION}")
    if not {"parameters", "shapes", "sha256"} <= known.keys() or not _are_shapes(known["shapes"]):
        raise ModelError(f"{file} lacks parameters, shapes or sha256")
    _check_meta(known, str(file))
    return known


def _are_shapes(value: object) -> bool:
    return isinstance(value, dict) and all(
        isinstance(shape, list) and all(isinstance(size, int) and size >= 0 for size in shape)
        for shape in value.values()
    )


def _sha256(file: Path) -> str:
    with open(file, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
