"""Optimiser, learning-rate schedule and number format of a training phase."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from pathlib import Path

import torch
from torch import nn


def make_optimizer(parameters: Iterable[nn.Parameter], lr: float) -> torch.optim.AdamW:
    """AdamW as BISTIL trains: betas 0.9 and 0.999, eps 1e-8, no weight decay."""
    return torch.optim.AdamW(list(parameters), lr=lr, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, fused=True)


def learning_rate(peak: float, step: int, steps: int, warmup: float = 0.0) -> float:
    """Rate used at 0-based ``step`` of ``steps``: a linear rise over the share ``warmup``, then linear decay to 0."""
    rising = int(warmup * steps)
    if step < rising:
        return peak * (step + 1) / rising
    return peak * (steps - step) / max(1, steps - rising)


def autocast(precision: str, device: torch.device) -> AbstractContextManager[object]:
    """Give the context of a forward pass: ``fp32`` (none), ``bf16``, or ``auto`` for what the device is good at."""
    return torch.autocast(device.type, dtype=torch.bfloat16) if _is_bf16(precision, device) else nullcontext()


def round_once(models: Iterable[nn.Module], precision: str) -> None:
    """Round the linear layers of frozen models now, in place, where ``autocast`` would do it in every pass.

    What the models give under it stays the same to the bit and takes half the memory; without it they do not run any
    more. Matrices that other layers use as well, such as a tied embedding, stay as they are.
    """
    for model in models:
        if not _is_bf16(precision, next(model.parameters()).device):
            continue
        linear = [module for module in model.modules() if isinstance(module, nn.Linear)]
        others = [module for module in model.modules() if not isinstance(module, nn.Linear)]
        kept = {id(parameter) for module in others for parameter in module.parameters(recurse=False)}
        for parameter in (parameter for module in linear for parameter in module.parameters(recurse=False)):
            if id(parameter) not in kept:
                parameter.data = parameter.data.to(torch.bfloat16)


def _is_bf16(precision: str, device: torch.device) -> bool:
    return precision == "bf16" or (precision == "auto" and bf16_is_native(device.type))


@cache
def bf16_is_native(device_type: str) -> bool:
    """Tell whether bf16 matrix products run in hardware: CUDA devices that have them, CPUs with AMX or AVX512-BF16."""
    if device_type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    facts = Path("/proc/cpuinfo")
    flags = facts.read_text(encoding="utf-8").split() if facts.exists() else []
    return "amx_bf16" in flags or "avx512_bf16" in flags
