"""The one training loop: run, step, forward-backward. Task, language and ray are none of its business.

A batch is a list of micro-batches. Each loss is divided by the count of what it averages over in the whole batch on all
ranks, so that gradients are summed, never averaged, and neither accumulation nor world size changes the objective.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
import torch.distributed as dist
from torch import Tensor, nn

from .optim import autocast, learning_rate, make_optimizer
from .pull import Pull
from .state import load_checkpoint, save_checkpoint

log = logging.getLogger(__name__)
MAX_SKIPPED = 10
Batch = Mapping[str, Tensor]
Counts = Mapping[str, float]


class NumbersError(RuntimeError):
    """Losses or gradients stayed NaN or infinite."""


class Objective(Protocol):
    """What is minimised."""

    model: nn.Module

    def counts(self, batch: Batch) -> dict[str, float]:
        """Count, per loss term, what this micro-batch contributes to the denominator."""

    def losses(self, batch: Batch, counts: Counts) -> dict[str, Tensor]:
        """Give the weighted loss terms of this micro-batch, each over its global count; their sum is minimised."""


@dataclass(frozen=True)
class Phase:
    """The settings of one training phase."""

    steps: int
    lr: float
    warmup: float = 0.0
    clip: float = 1.0
    precision: str = "auto"
    seed: int = 0
    log_every: int = 20
    checkpoint_seconds: float = 120.0

    @classmethod
    def from_settings(
        cls, settings: Mapping[str, Any], runtime: Mapping[str, Any], steps: int, seed: int | None = None
    ) -> Phase:
        """Read a phase from a step's settings, which have the same words; ``seed`` overrides theirs."""
        named = {name: settings[name] for name in ("lr", "warmup", "clip", "precision")}
        return cls(
            steps=steps,
            seed=settings["seed"] if seed is None else seed,
            log_every=max(1, min(20, steps // 20)),
            checkpoint_seconds=60 * runtime.get("checkpoint_minutes", 2.0),
            **named,
        )


@dataclass
class Progress:
    """Where a phase stands: what a checkpoint holds besides tensors."""

    step: int = 0
    tokens: int = 0
    seconds: float = 0.0
    skipped: int = 0
    terms: dict[str, float] = field(default_factory=dict)


Report = Callable[[dict[str, Any]], None]


def run_phase(
    objective: Objective,
    phase: Phase,
    batches: Callable[[int], Iterator[Sequence[Batch]]],
    *,
    checkpoints: Path | None = None,
    report: Report = lambda metrics: None,
    masks: Mapping[str, Tensor] | None = None,
    pull: Pull | None = None,
    after_step: Callable[[Progress], None] = lambda progress: None,
    writes: bool = True,
) -> Progress:
    """Train ``objective.model`` for ``phase.steps`` steps and give the final progress.

    ``batches(step)`` iterates over batches (lists of micro-batches) from that 0-based step on. With ``checkpoints`` the
    phase continues from the newest one there; only a rank that ``writes`` saves. ``masks`` (by parameter name) multiply
    gradients before clipping: parameters outside stay exactly as they are. Before that ``pull`` adds its gradients, and
    the term ``l1``. Raises NumbersError when steps keep giving NaN or infinity.
    """
    model = objective.model
    named = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    optimizer = make_optimizer(named.values(), phase.lr)
    progress = Progress()
    if checkpoints is not None and (facts := load_checkpoint(checkpoints, model, optimizer)):
        progress = Progress(**facts)
        log.info("continuing at step %d of %d", progress.step, phase.steps)
    device = next(iter(named.values())).device
    saved = time.monotonic()
    began = saved - progress.seconds
    stream = batches(progress.step) if progress.step < phase.steps else iter(())
    while progress.step < phase.steps:
        batch = [{name: value.to(device) for name, value in micro.items()} for micro in next(stream)]
        torch.manual_seed(mix(phase.seed, progress.step))
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(phase.lr, progress.step, phase.steps, phase.warmup)
        terms, norm = train_step(objective, named, optimizer, batch, phase, masks, pull)
        _watch(progress, terms, norm)
        progress.step += 1
        progress.tokens += int(_total([sum(int(micro["attention_mask"].sum()) for micro in batch)])[0])
        progress.seconds = time.monotonic() - began
        progress.terms = terms
        if progress.step % phase.log_every == 0 or progress.step == phase.steps:
            report(_metrics(progress, terms, norm, optimizer))
        after_step(progress)
        if checkpoints is not None and writes and time.monotonic() - saved > phase.checkpoint_seconds:
            save_checkpoint(checkpoints, progress.step, model, optimizer, vars(progress))
            saved = time.monotonic()
    if checkpoints is not None and writes and phase.steps:
        save_checkpoint(checkpoints, progress.step, model, optimizer, vars(progress))
    return progress


def train_step(
    objective: Objective,
    named: Mapping[str, nn.Parameter],
    optimizer: torch.optim.Optimizer,
    batch: Sequence[Batch],
    phase: Phase,
    masks: Mapping[str, Tensor] | None = None,
    pull: Pull | None = None,
) -> tuple[dict[str, float], float]:
    """Take one optimiser step; give the loss by term and the gradient norm before clipping, both over all ranks.

    A step whose loss or gradient is not finite changes nothing.
    """
    counts = _global_counts(objective, batch)
    terms = dict.fromkeys(counts, 0.0)
    for micro in batch:
        if not len(micro["attention_mask"]):
            continue  # this rank's share of a batch smaller than the world
        for name, value in forward_backward(objective, micro, counts, phase.precision).items():
            terms[name] += value
    _sum_gradients(named.values())
    terms = dict(zip(terms, _total(list(terms.values())), strict=True))
    if pull is not None:
        terms["l1"] = pull.add_gradients(named)
    if masks is not None:
        for name, mask in masks.items():
            gradient = named[name].grad
            if gradient is not None:
                gradient.mul_(mask)
    norm = float(nn.utils.clip_grad_norm_(named.values(), phase.clip))
    if math.isfinite(norm) and math.isfinite(sum(terms.values())):
        optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return terms, norm


def forward_backward(objective: Objective, micro: Batch, counts: Counts, precision: str) -> dict[str, float]:
    """Add one micro-batch's gradients; give its share of each loss term."""
    with autocast(precision, next(objective.model.parameters()).device):
        losses = objective.losses(micro, counts)
    torch.stack(
        [value.float() if value.dtype != torch.float64 else value for value in losses.values()]
    ).sum().backward()
    return {name: float(value.detach()) for name, value in losses.items()}


def mix(*numbers: int) -> int:
    """Derive one 63-bit seed from several numbers, so that each (seed, step, ...) has its own stream."""
    value = 0x9E3779B97F4A7C15
    for number in numbers:
        value = ((value ^ (number & 0xFFFFFFFFFFFFFFFF)) * 0xBF58476D1CE4E5B9) & 0xFFFFFFFFFFFFFFFF
        value ^= value >> 31
    return value & 0x7FFFFFFFFFFFFFFF


def _global_counts(objective: Objective, batch: Sequence[Batch]) -> dict[str, float]:
    counts: dict[str, float] = {}
    for micro in batch:
        for name, value in objective.counts(micro).items():
            counts[name] = counts.get(name, 0.0) + value
    # A term that nothing in the batch counts for is 0, not 0 / 0.
    return {name: total or 1.0 for name, total in zip(counts, _total(list(counts.values())), strict=True)}


def _total(values: list[float]) -> list[float]:
    if not (dist.is_available() and dist.is_initialized()):
        return values
    device = torch.device("cuda", torch.cuda.current_device()) if dist.get_backend() == "nccl" else torch.device("cpu")
    summed = torch.tensor(values, dtype=torch.float64, device=device)
    dist.all_reduce(summed)
    return [float(value) for value in summed]


def _sum_gradients(parameters: Iterable[nn.Parameter]) -> None:
    if not (dist.is_available() and dist.is_initialized()):
        return
    gradients = []
    for parameter in parameters:
        if parameter.grad is None:  # a rank without rows has none, and all must send the same
            parameter.grad = torch.zeros_like(parameter)
        gradients.append(parameter.grad)
    flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
    dist.all_reduce(flat)
    for gradient, summed in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
        gradient.copy_(summed.view_as(gradient))


def _watch(progress: Progress, terms: Mapping[str, float], norm: float) -> None:
    if math.isfinite(norm) and math.isfinite(sum(terms.values())):
        progress.skipped = 0
        return
    progress.skipped += 1
    log.warning("step %d gave a loss or gradient that is not finite (%s); skipped", progress.step, dict(terms))
    if progress.skipped >= MAX_SKIPPED:
        raise NumbersError(
            f"{MAX_SKIPPED} steps in a row up to step {progress.step} gave NaN or infinity: "
            "lower lr or use precision=fp32"
        )


def _metrics(
    progress: Progress, terms: Mapping[str, float], norm: float, optimizer: torch.optim.Optimizer
) -> dict[str, Any]:
    return {
        "step": progress.step,
        "tokens": progress.tokens,
        "seconds": round(progress.seconds, 3),
        "tokens_per_second": round(progress.tokens / max(progress.seconds, 1e-9), 1),
        "loss": sum(terms.values()),
        **{f"loss_{name}": value for name, value in terms.items()},
        "gradient_norm": norm,
        "lr": optimizer.param_groups[0]["lr"],
    }
