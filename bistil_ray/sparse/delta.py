"""A sparse fine-tuning (SFT): what a model's weights became, as sparse differences to those of its base.

Differences, not new values, are kept, so that SFTs can be added up (a language's and a task's); a head, which
the base does not have, is kept whole.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import ModelError


@dataclass(frozen=True)
class SparseDelta:
    """Differences of a model to its base.

    Per changed parameter: ``indices`` into the flattened (row-major) tensor, int64, ascending; ``values`` to
    add there; the parameter's ``shapes``. ``dense`` holds parameters whole. ``meta`` says what it is:
    ``base_model``, ``base_fingerprint``, ``language`` or ``task``, ``density``, ``method``.
    """

    indices: dict[str, Tensor]
    values: dict[str, Tensor]
    shapes: dict[str, tuple[int, ...]]
    dense: dict[str, Tensor]
    meta: dict[str, Any]

    @property
    def parameters(self) -> int:
        """How many parameters differ, those kept whole not counted."""
        return sum(index.numel() for index in self.indices.values())

    def to(self, device: torch.device) -> SparseDelta:
        """Give the same differences on another device."""
        parts = (self.indices, self.values, self.dense)
        indices, values, dense = ({name: value.to(device) for name, value in part.items()} for part in parts)
        return SparseDelta(indices, values, self.shapes, dense, self.meta)


def extract_delta(
    before: Mapping[str, Tensor],
    after: Mapping[str, Tensor],
    dense_names: Iterable[str],
    meta: Mapping[str, Any],
    tolerance: float = 0.0,
) -> SparseDelta:
    """Give the differences between the weights ``before`` and ``after`` training.

    ``dense_names`` (the head) are kept whole; every other parameter must be in both. Entries whose change is
    at most ``tolerance`` are left out: 0 keeps every change, the published code uses 1e-7.

    A difference is kept in the parameter's own precision where adding it gives back the trained weights bit
    for bit. Where rounding forbids that (a weight that shrank to a small part of itself) the parameter's
    differences are kept in float64, which loses a last bit only for weights that shrank more than 2^29-fold.
    Raises ModelError for missing parameters and unlike shapes.
    """
    whole = set(dense_names)
    missing = sorted((whole - after.keys()) | ((before.keys() ^ after.keys()) - whole))
    if missing:
        raise ModelError(f"parameters that are not in both, base and trained weights: {', '.join(missing[:5])}")
    indices, values, shapes = {}, {}, {}
    for name in after:
        if name in whole:
            continue
        _check_shape(name, before[name], after[name].shape)
        old, new = before[name].detach().cpu().reshape(-1), after[name].detach().cpu().reshape(-1)
        changed = new != old if tolerance == 0 else (new - old).abs() > tolerance
        if changed.any():
            index = changed.nonzero().squeeze(1)
            indices[name] = index
            values[name] = _difference(old[index], new[index])
            shapes[name] = tuple(after[name].shape)
    dense = {name: after[name].detach().cpu().clone() for name in after if name in whole}
    return SparseDelta(indices, values, shapes, dense, dict(meta))


def apply_delta(model: nn.Module | Mapping[str, Tensor], delta: SparseDelta) -> None:
    """Add the differences to the parameters and put in the ones kept whole, in place.

    Sums are made in the wider of the two precisions and rounded once. A tied parameter may go by any of its
    names. Nothing is changed when it does not fit: ModelError for parameters the model does not have and for
    unlike shapes. Nothing of the SFT is shared with the model afterwards.
    """
    check_delta(delta, "the SFT")
    weights = dict(model.named_parameters(remove_duplicate=False)) if isinstance(model, nn.Module) else model
    missing = sorted((delta.indices.keys() | delta.dense.keys()) - weights.keys())
    if missing:
        raise ModelError(f"the SFT changes parameters that the model does not have: {', '.join(missing[:5])}")
    for name, shape in (*delta.shapes.items(), *((name, whole.shape) for name, whole in delta.dense.items())):
        _check_shape(name, weights[name], shape)
    with torch.no_grad():
        for name, index in delta.indices.items():
            _add_at(weights[name], index, delta.values[name])
        for name, whole in delta.dense.items():
            weights[name].copy_(whole)


def check_delta(delta: SparseDelta, place: str) -> None:
    """Raise ModelError, naming ``place``, unless the parts of an SFT fit each other and their shapes."""
    if not delta.indices.keys() == delta.values.keys() == delta.shapes.keys():
        odd = sorted((delta.indices.keys() ^ delta.values.keys()) | (delta.indices.keys() ^ delta.shapes.keys()))
        raise ModelError(f"{place}: no indices, values and shape together for {', '.join(odd[:5])}")
    for name, index in delta.indices.items():
        size = math.prod(delta.shapes[name])
        if index.dtype != torch.int64 or index.ndim != 1 or index.shape != delta.values[name].shape:
            raise ModelError(f"{place}: {name} does not hold one 64-bit index per value")
        if index.numel() and (index[0] < 0 or index[-1] >= size or (index.diff() <= 0).any()):
            raise ModelError(f"{place}: the indices of {name} are not ascending numbers from 0 to {size - 1}")


def _difference(old: Tensor, new: Tensor) -> Tensor:
    difference = new - old
    return difference if torch.equal(old + difference, new) else new.double() - old.double()


def _add_at(weight: Tensor, index: Tensor, values: Tensor) -> None:
    """Add ``values`` at the flat ``index`` of ``weight``, whatever its device, precision and layout."""
    exact = torch.promote_types(weight.dtype, values.dtype)
    index = index.to(weight.device)
    flat = weight.reshape(-1)
    flat[index] = (flat[index].to(exact) + values.to(weight.device, exact)).to(weight.dtype)
    if not weight.is_contiguous():
        weight.copy_(flat.view(weight.shape))


def _check_shape(name: str, weight: Tensor, shape: Iterable[int]) -> None:
    if tuple(weight.shape) != tuple(shape):
        raise ModelError(f"parameter {name} is {tuple(weight.shape)} in the base, but {tuple(shape)} in the SFT")
