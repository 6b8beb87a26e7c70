"""The one training loop: run, step, forward-backward. Task, language and ray are none of its business.

A batch is a list of micro-batches. Each loss is divided by the count of what it averages over in the whole batch on all
ranks, so that gradients are summed, never averaged, and neither accumulation nor world size changes the objective.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from .average import Average
from .learned import Learned
from .memory import Fitting
from .notice import TERMINATED, notice
from .numbers import count_skipped, follow_loss, is_finite, loss_warning
from .optim import autocast, learning_rate, make_optimizer
from .phase import ALONE, Batch, Counts, Objective, Phase, Progress, Surroundings
from .pull import Pull
from .ranks import sum_gradients, total
from .seeds import mix
from .state import load_checkpoint, save_checkpoint

log = logging.getLogger(__name__)


def run_phase(
    objective: Objective,
    phase: Phase,
    batches: Callable[[int], Iterator[Sequence[Batch]]],
    around: Surroundings = ALONE,
    *,
    pause_at: int | None = None,
    masks: Mapping[str, Tensor] | None = None,
    pull: Pull | None = None,
    after_step: Callable[[Progress], None] = lambda progress: None,
) -> Progress:
    """Train ``objective.model`` for ``phase.steps`` steps and give the final progress.

    ``batches(step)`` iterates over batches (lists of micro-batches) from that 0-based step on. ``around`` it there may
    be checkpoints: the phase continues from the newest one. At the step ``pause_at`` it saves and gives what it has
    reached; a later call goes on. Where a parameter has one of ``masks`` (by name) only the entries inside learn and
    count when clipping; those outside stay exactly as they are. Before clipping ``pull`` adds its gradients, and the
    term ``l1``. Raises TrainingError when steps keep giving NaN or infinity and when single rows do not fit into
    memory; SystemExit, after saving, when told to end, by SIGTERM or by what is around it.
    """
    named = {name: parameter for name, parameter in objective.model.named_parameters() if parameter.requires_grad}
    learned = Learned(named, masks)
    optimizer = make_optimizer(learned.moved.values(), phase.lr)
    average = Average(learned.moved, phase.average, phase.steps)
    kept = {**learned.moved, **average.mean}
    progress = Progress()
    if around.checkpoints is not None and (facts := load_checkpoint(around.checkpoints, kept, optimizer)):
        learned.put_back()
        progress = Progress(**facts)
        log.info("continuing at step %d of %d", progress.step, phase.steps)
    fitting = Fitting(progress.cuts)
    device = next(iter(named.values())).device
    saved = time.monotonic()
    began = saved - progress.seconds
    stop = phase.steps if pause_at is None else min(pause_at, phase.steps)
    stream = batches(progress.step) if progress.step < stop else iter(())
    with notice() as is_signalled:
        while progress.step < stop:
            batch = [{name: value.to(device) for name, value in micro.items()} for micro in next(stream)]
            torch.manual_seed(mix(phase.seed, progress.step))
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(phase.lr, progress.step, phase.steps, phase.warmup)
            terms, norm = train_step(objective, learned, optimizer, batch, phase, pull, fitting)
            progress.cuts = fitting.cuts
            count_skipped(progress, terms, norm, _language(batch, phase))
            progress.step += 1
            average.take_in(progress.step)
            follow_loss(progress, phase, terms, norm)
            # All ranks end together: one that went alone would leave the others waiting for it.
            told = is_signalled() or around.is_to_end()
            tokens, ending = total([sum(int(micro["attention_mask"].sum()) for micro in batch), told])
            progress.tokens += int(tokens)
            progress.seconds = time.monotonic() - began
            progress.terms = terms
            if progress.step % phase.log_every == 0 or progress.step == phase.steps:
                around.report(_metrics(progress, phase, terms, norm, optimizer))
            after_step(progress)
            due = time.monotonic() - saved > phase.checkpoint_seconds or progress.step == stop or ending
            if around.checkpoints is not None and around.writes and due:
                save_checkpoint(around.checkpoints, progress.step, kept, optimizer, vars(progress))
                saved = time.monotonic()
            if ending:
                log.warning("told to end: saved at step %d of %d", progress.step, phase.steps)
                raise SystemExit(TERMINATED)
    if progress.step == phase.steps:
        average.take_over()
        learned.put_back()
    return progress


def train_step(
    objective: Objective,
    learned: Learned,
    optimizer: torch.optim.Optimizer,
    batch: Sequence[Batch],
    phase: Phase,
    pull: Pull | None = None,
    fitting: Fitting | None = None,
) -> tuple[dict[str, float], float]:
    """Take one optimiser step; give the loss by term and the gradient norm before clipping, both over all ranks.

    ``optimizer`` is one of ``learned.moved``. A step whose loss or gradient is not finite changes nothing. ``fitting``
    remembers what memory allows.
    """
    counts = _global_counts(objective, batch)
    terms = (fitting or Fitting()).run(
        batch,
        lambda parts: _accumulate(objective, parts, counts, phase.precision),
        objective.model.zero_grad,
    )
    sum_gradients(learned.whole.values())
    terms = dict(zip(terms, total(list(terms.values())), strict=True))
    if pull is not None:
        terms["l1"] = pull.add_gradients(learned.whole)
    learned.take_gradients()
    norm = float(nn.utils.clip_grad_norm_(learned.moved.values(), phase.clip))
    if is_finite(terms, norm):
        optimizer.step()
        learned.put_back()
    optimizer.zero_grad()
    return terms, norm


def _accumulate(objective: Objective, parts: Sequence[Batch], counts: Counts, precision: str) -> dict[str, float]:
    terms = dict.fromkeys(counts, 0.0)
    with autocast(precision, next(objective.model.parameters()).device):  # one for all, so that it rounds weights once
        for micro in parts:
            if not len(micro["attention_mask"]):
                continue  # this rank's share of a batch smaller than the world
            for name, value in forward_backward(objective, micro, counts).items():
                terms[name] += value
    return terms


def forward_backward(objective: Objective, micro: Batch, counts: Counts) -> dict[str, float]:
    """Add one micro-batch's gradients; give its share of each loss term."""
    losses = objective.losses(micro, counts)
    loss = torch.stack([value.float() if value.dtype != torch.float64 else value for value in losses.values()]).sum()
    with torch.autocast(loss.device.type, enabled=False):  # gradients are of the precision of what they are of
        loss.backward()
    return {name: float(value.detach()) for name, value in losses.items()}


def _global_counts(objective: Objective, batch: Sequence[Batch]) -> dict[str, float]:
    counts: dict[str, float] = {}
    for micro in batch:
        for name, value in objective.counts(micro).items():
            counts[name] = counts.get(name, 0.0) + value
    # A term that nothing in the batch counts for is 0, not 0 / 0.
    return {name: summed or 1.0 for name, summed in zip(counts, total(list(counts.values())), strict=True)}


def _language(batch: Sequence[Batch], phase: Phase) -> str:
    numbers = batch[0].get("language")
    return phase.languages[int(numbers[0])] if phase.languages and numbers is not None and len(numbers) else ""


def _metrics(
    progress: Progress, phase: Phase, terms: Mapping[str, float], norm: float, optimizer: torch.optim.Optimizer
) -> dict[str, Any]:
    warning = loss_warning(progress) if progress.step == phase.steps else None
    if warning:
        log.warning(warning)
    return {
        "step": progress.step,
        "tokens": progress.tokens,
        "seconds": round(progress.seconds, 3),
        "tokens_per_second": round(progress.tokens / max(progress.seconds, 1e-9), 1),
        "loss": sum(terms.values()),
        **{f"loss_{name}": value for name, value in terms.items()},
        "gradient_norm": norm,
        "lr": optimizer.param_groups[0]["lr"],
        **({"warning": warning} if warning else {}),
    }
