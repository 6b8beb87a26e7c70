"""What every training in a step is given: the phase that its settings describe, and what surrounds it there."""

from __future__ import annotations

from collections.abc import Sequence

from ..train.phase import Phase, Surroundings
from .context import Context, Job


def phase_of(job: Job, steps: int, languages: Sequence[str]) -> Phase:
    """Make a phase of ``steps`` steps by a job's settings; ``languages`` are what the numbers in its batches stand for.

    About twenty times, and at least every twentieth step, it tells how far it has come.
    """
    settings = job.settings
    return Phase(
        steps=steps,
        lr=settings["lr"],
        warmup=settings["warmup"],
        clip=settings["clip"],
        precision=settings["precision"],
        seed=settings["seed"],
        log_every=max(1, min(20, steps // 20)),
        checkpoint_seconds=60 * job.runtime.get("checkpoint_minutes", 2.0),
        languages=tuple(languages),
    )


def surroundings(job: Job, context: Context) -> Surroundings:
    """Save in the job's folder, where this is the rank that writes; report to ``context`` and end when it says so."""
    return Surroundings(job.checkpoints, context.report, context.is_to_end, writes=context.rank == 0)
