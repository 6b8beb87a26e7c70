"""In which precision the losses are computed."""

from __future__ import annotations

import torch
from torch import Tensor


def at_least_float32(values: Tensor) -> Tensor:
    """``values`` in float32 if they are of half precision, else as they are.

    Sums of squares over millions of half-precision numbers lose their last digits one after another; the
    losses therefore take differences and sums in float32 (float64 stays float64).
    """
    return values.to(torch.promote_types(values.dtype, torch.float32))
