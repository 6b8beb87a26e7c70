"""What the ranks of a distributed training have in common: sums over all of them; one process is its own sum."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
import torch.distributed as dist
from torch import nn


def total(values: Sequence[float]) -> list[float]:
    """Sum each number over all ranks."""
    if not _several():
        return list(values)
    device = torch.device("cuda", torch.cuda.current_device()) if dist.get_backend() == "nccl" else torch.device("cpu")
    summed = torch.tensor(values, dtype=torch.float64, device=device)
    dist.all_reduce(summed)
    return [float(value) for value in summed]


def sum_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Replace the gradients of each rank by their sum over all ranks; what has none on any rank keeps none."""
    if not _several():
        return
    parameters = list(parameters)
    given = total([parameter.grad is not None for parameter in parameters])
    gradients = []
    for parameter, ranks in zip(parameters, given, strict=True):
        if not ranks:  # a head that a batch of plain text does not ask: zeros would let Adam's momentum move it
            continue
        if parameter.grad is None:  # a rank without rows has none, and all must send the same
            parameter.grad = torch.zeros_like(parameter)
        gradients.append(parameter.grad)
    flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
    dist.all_reduce(flat)
    for gradient, summed in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
        gradient.copy_(summed.view_as(gradient))


def _several() -> bool:
    return dist.is_available() and dist.is_initialized()
