"""The SFT files of composable-sft and BISTIL, ``pytorch_diff.bin``, read and written.

Such a file is a pickled dictionary: ``diffs`` (sparse differences), ``abs`` (parameters kept whole, or, from
magnitude pruning, sparse ones) and in BISTIL's an empty ``block_sparses``. A sparse tensor is its ``size``,
its ``values`` and their flat indices with the FIRST axis running fastest, ascending, each as its distance
from the one before (``index_steps``).

A pickle can run code when it is loaded. Here only tensors, containers and numbers are let in: through torch's
restricted reader, which also gets to know the one integer that numpy wrote into each list of steps.
"""

from __future__ import annotations

import pickle
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, TypeGuard

import numpy as np
import torch
from torch import Tensor

from ..errors import ModelError
from ..storage import replacing
from .delta import SparseDelta, check_delta

FILE_NAME = "pytorch_diff.bin"
Order = Literal["C", "F"]

_SECTIONS = {"diffs", "abs", "block_sparses"}


def read_composable(path: str | Path, meta: Mapping[str, Any]) -> SparseDelta:
    """Read ``pytorch_diff.bin`` (the file, or the folder it is in) as an SFT with the facts ``meta``.

    The file does not say what it belongs to, so ``meta`` does (see SparseDelta). Parameters under ``abs``
    become dense ones. Raises ModelError for a missing or damaged file, for one that holds anything but an SFT
    (what it holds is then not run) and for block-sparse parameters.
    """
    file = Path(path) / FILE_NAME if Path(path).is_dir() else Path(path)
    sections = _load(file)
    indices, values, shapes = {}, {}, {}
    for name, entry in sections["diffs"].items():
        index, value, shape = _sparse_parts(entry, f"{file}: {name}")
        if index.numel():
            indices[name], values[name], shapes[name] = index, value, shape
    dense = {name: _whole(entry, f"{file}: {name}") for name, entry in sections["abs"].items()}
    delta = SparseDelta(indices, values, shapes, dense, dict(meta))
    check_delta(delta, str(file))
    return delta


def write_composable(delta: SparseDelta, folder: str | Path) -> None:
    """Write the SFT as ``folder/pytorch_diff.bin``, readable by composable-sft and BISTIL.

    Differences kept in float64 are rounded to float32, which those programs expect.
    """
    diffs = {
        name: encode_sparse(index, delta.values[name].float(), delta.shapes[name])
        for name, index in delta.indices.items()
    }
    whole = {name: tensor.clone() for name, tensor in delta.dense.items()}
    with replacing(Path(folder) / FILE_NAME) as temporary:
        torch.save({"diffs": diffs, "abs": whole}, temporary)


def encode_sparse(index: Tensor, values: Tensor, shape: tuple[int, ...]) -> dict[str, Any]:
    """Turn ascending row-major flat indices and their values into the file's form of a sparse tensor."""
    flat = _reordered(index.numpy(), shape, "C", "F")
    order = np.argsort(flat)
    return {
        "size": torch.Size(shape),
        "index_steps": np.diff(flat[order], prepend=0).tolist(),
        "values": values[torch.from_numpy(order)],
    }


def decode_sparse(encoding: Mapping[str, Any], place: str) -> tuple[Tensor, Tensor, tuple[int, ...]]:
    """Turn the file's form of a sparse tensor into ascending row-major flat indices, values and the shape.

    Sums are made in 64 bits. Raises ModelError, naming ``place``, where the parts do not fit each other.
    """
    steps, values, size = encoding.get("index_steps"), encoding.get("values"), encoding.get("size")
    if (
        not isinstance(steps, list)
        or not all(isinstance(step, int) and 0 <= step < 1 << 63 for step in steps)
        or not isinstance(size, torch.Size)
        or not _is_plain(values)
        or values.shape != (len(steps),)
    ):
        raise ModelError(f"{place} is not a sparse tensor: size, index_steps and values do not fit each other")
    flat = np.cumsum(np.array(steps, dtype=np.int64))
    if steps and (flat.min() < 0 or flat.max() >= size.numel() or (np.diff(flat) <= 0).any()):
        raise ModelError(f"{place} has indices that repeat or lie outside its {size.numel()} parameters")
    row_major = _reordered(flat, size, "F", "C")
    order = np.argsort(row_major)
    return torch.from_numpy(row_major[order]), values.detach()[torch.from_numpy(order)], tuple(size)


def _reordered(flat: np.ndarray, shape: tuple[int, ...], old: Order, new: Order) -> np.ndarray:
    """Renumber flat indices from one order of the axes (C: last fastest, F: first fastest) to the other."""
    sizes = tuple(shape) or (1,)
    renumbered: np.ndarray = np.ravel_multi_index(np.unravel_index(flat, sizes, order=old), sizes, order=new)
    return renumbered


def _sparse_parts(entry: object, place: str) -> tuple[Tensor, Tensor, tuple[int, ...]]:
    if isinstance(entry, dict):
        return decode_sparse(entry, place)
    whole = _whole(entry, place)
    index = whole.reshape(-1).nonzero().squeeze(1)
    return index, whole.reshape(-1)[index], tuple(whole.shape)


def _whole(entry: object, place: str) -> Tensor:
    if isinstance(entry, dict):
        index, values, shape = decode_sparse(entry, place)
        flat = torch.zeros(torch.Size(shape).numel(), dtype=values.dtype)
        flat[index] = values
        return flat.view(shape)
    if not _is_plain(entry):
        raise ModelError(f"{place} is not a tensor of numbers")
    return entry.detach().clone()


def _is_plain(value: object) -> TypeGuard[Tensor]:
    return isinstance(value, Tensor) and value.layout == torch.strided and value.is_floating_point()


def _load(file: Path) -> dict[str, dict[str, Any]]:
    """Load the dictionary and check its outer form."""
    if not file.is_file():
        raise ModelError(f"no composable-sft file at {file}")
    try:
        with numpy_integers():
            loaded = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as problem:  # a damaged file can fail in any way
        named = re.search(r"GLOBAL ([\w.]+)", str(problem))
        if named:
            reason = f"it holds {named[1]}, which is no part of an SFT and might run code"
        else:
            reason = f"it is damaged or not a composable-sft file ({type(problem).__name__})"
        raise ModelError(f"{file} is not read: {reason}") from problem
    if not isinstance(loaded, dict) or not {"diffs"} <= loaded.keys() <= _SECTIONS:
        raise ModelError(f"{file} is not a composable-sft file: it does not hold diffs and abs")
    sections = {name: loaded.get(name, {}) for name in _SECTIONS}
    for name, section in sections.items():
        if not isinstance(section, dict) or not all(isinstance(key, str) for key in section):
            raise ModelError(f"{file} is not a composable-sft file: its {name} are not tensors by name")
    if sections["block_sparses"]:
        raise ModelError(f"{file} holds block-sparse parameters, which are not supported")
    return sections


class _NumpyKind:
    """Stands in for numpy's dtype while a file is read: the kind of integer, and nothing else."""

    def __init__(self, code: str, *_: object) -> None:
        if code not in ("i4", "i8"):
            raise pickle.UnpicklingError(f"a number of kind {code!r}")
        self.bytes = int(code[1])
        self.order = "little"

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.order = "big" if state[1] == ">" else "little"


def _numpy_integer(kind: _NumpyKind, data: bytes) -> int:
    """Stand in for numpy's rebuilding of a scalar: give a plain number."""
    if len(data) != kind.bytes:
        raise pickle.UnpicklingError("a number of the wrong length")
    return int.from_bytes(data, "big" if kind.order == "big" else "little", signed=True)


@contextmanager
def numpy_integers() -> Iterator[None]:
    """Let torch's restricted reader read numpy's integers (of numpy 1 and 2), inside this block only."""
    with torch.serialization.safe_globals(
        [
            (_NumpyKind, "numpy.dtype"),
            (_numpy_integer, "numpy.core.multiarray.scalar"),
            (_numpy_integer, "numpy._core.multiarray.scalar"),
        ]
    ):
        yield
