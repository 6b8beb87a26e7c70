"""Which parameters a sparse fine-tuning may change: those that full fine-tuning changed most.

The K-th largest change is found exactly, by counting the bit patterns of the absolute changes 16 bits at a
time: for floats that are not negative the order of the patterns is the order of the numbers. Changes are
computed a piece at a time, again for every pass, so that the masks are the only large thing in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

import torch
from torch import Tensor

from ..errors import ConfigError, ModelError

# Elements looked at together: few enough to stay in the processor's cache.
_PIECE = 1 << 20
_DIGIT = 16
_BITS = {torch.float32: (torch.int32, 32), torch.float64: (torch.int64, 64)}
_INFINITE_DIGIT = {torch.float32: 0x7F80, torch.float64: 0x7FF0}


def select_changes(
    before: Mapping[str, Tensor],
    after: Mapping[str, Tensor],
    density: float | None = None,
    count: int | None = None,
) -> dict[str, Tensor]:
    """Give boolean masks, one per parameter and of its shape: True where the parameter may change.

    Over all parameters together the K largest absolute changes ``|after - before|`` are taken, with
    K = int(number of parameters x ``density``), or K = ``count`` where that is given instead (LT-SFT, Ansell
    et al. 2022). As in the published code everything from the K-th largest change upwards is taken, so ties
    with it may make it more than K. Unlike there, parameters that did not change at all are never taken:
    where fewer than K changed, it is fewer than K.

    Both hold floating-point tensors under the same names. Half precision is compared in float32, everything
    in float64 when one tensor is. For magnitude pruning ``before`` are zeros. Raises ConfigError for a
    density outside (0, 1] or one that leaves no parameter, ModelError for unlike names or shapes and for
    values that are not finite.
    """
    dtype = _common_dtype(before, after)
    total = sum(tensor.numel() for tensor in after.values())
    wanted = _wanted(total, density, count)

    def changes() -> Iterator[Tensor]:
        for name, tensor in after.items():
            yield from (change for _, change in _changes(before[name], tensor, dtype))

    threshold = threshold_of(changes, wanted, dtype)
    masks = {}
    for name, tensor in after.items():
        mask = torch.empty(tensor.numel(), dtype=torch.bool, device=tensor.device)
        for piece, change in _changes(before[name], tensor, dtype):
            mask[piece] = change >= threshold if threshold > 0 else change > 0
        masks[name] = mask.view(tensor.shape)
    return masks


def threshold_of(changes: Callable[[], Iterable[Tensor]], count: int, dtype: torch.dtype = torch.float32) -> float:
    """Give the ``count``-th largest of many absolute changes, exactly.

    ``changes()`` gives the changes afresh, in one-dimensional contiguous pieces of ``dtype`` (float32 or
    float64), none negative; it is called once for every 16 bits. ``count`` is at least 1 and at most the
    number of changes. Raises ModelError when a change is infinite or not a number.
    """
    integer, width = _BITS[dtype]
    leading = 0
    rest = count
    for shift in range(width - _DIGIT, -1, -_DIGIT):
        counts = torch.zeros(1 << _DIGIT, dtype=torch.int64)
        for change in changes():
            bits = change.view(integer)
            if shift + _DIGIT < width:
                bits = bits[(bits >> (shift + _DIGIT)) == leading]
            digits = (bits >> shift) & ((1 << _DIGIT) - 1)
            counts += torch.bincount(digits, minlength=1 << _DIGIT).cpu()
        if shift + _DIGIT == width and counts[_INFINITE_DIGIT[dtype] :].any():
            raise ModelError(
                "weights are infinite or not numbers after training: it diverged (lower the learning rate)"
            )
        from_top = counts.flip(0).cumsum(0)
        place = int(torch.searchsorted(from_top, rest))
        rest -= int(from_top[place] - counts[-1 - place])
        leading = (leading << _DIGIT) | (counts.numel() - 1 - place)
    return torch.tensor(leading, dtype=integer).view(dtype).item()


def _wanted(total: int, density: float | None, count: int | None) -> int:
    """Give K, after a check of the one of the two that is given."""
    if (density is None) == (count is None):
        raise ValueError("give a density or a count, one of them")
    if density is not None:
        if not 0 < density <= 1:
            raise ConfigError(f"density {density} must be above 0 and at most 1 (--densities)")
        count = int(total * density)
        if count == 0:
            raise ConfigError(f"density {density} of {total} parameters is less than one parameter (--densities)")
    assert count is not None
    if not 1 <= count <= total:
        raise ConfigError(f"{count} parameters cannot be chosen out of {total}")
    return count


def _common_dtype(before: Mapping[str, Tensor], after: Mapping[str, Tensor]) -> torch.dtype:
    """Check that both hold the same parameters and give the dtype to compare them in."""
    if before.keys() != after.keys():
        odd = sorted(before.keys() ^ after.keys())
        raise ModelError(f"the weights before and after do not have the same parameters: {', '.join(odd[:5])}")
    for name, tensor in after.items():
        if before[name].shape != tensor.shape:
            raise ModelError(f"parameter {name} is {tuple(before[name].shape)} before and {tuple(tensor.shape)} after")
    both = (*before.values(), *after.values())
    return torch.float64 if any(tensor.dtype == torch.float64 for tensor in both) else torch.float32


def _changes(before: Tensor, after: Tensor, dtype: torch.dtype) -> Iterator[tuple[slice, Tensor]]:
    """Give the absolute changes of one parameter, flat and in pieces, with the place of each piece."""
    old, new = before.detach().reshape(-1), after.detach().reshape(-1)
    for start in range(0, new.numel(), _PIECE):
        piece = slice(start, min(start + _PIECE, new.numel()))
        yield piece, (new[piece].to(dtype) - old[piece].to(new.device, dtype)).abs_()
