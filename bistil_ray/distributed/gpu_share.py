"""How many steps a GPU has the memory for, told by what finished steps took of theirs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..planning.step import Step

BESIDE = 0.7e9
"""Bytes that CUDA and its libraries take in each process, which torch does not count."""
USABLE = 0.9
"""Share of a GPU's memory that is dealt out: what is free lies in pieces."""
MOST = 8
"""More processes than these take turns rather than fill what one leaves idle."""


class GpuShare:
    """The most memory of a GPU that training steps took; known when one of each kind has ended."""

    def __init__(self, steps: Iterable[Step]) -> None:
        """Wait for one step of each kind among ``steps`` that trains."""
        self._awaited = {step.kind for step in steps if step.runtime}
        self._most, self._whole = 0.0, 0.0

    def advice(self, step: Step, figures: Mapping[str, Any], gpus: float) -> str | None:
        """Take note of a finished step's figures; say once how many steps could share a GPU, if more than do.

        ``gpus`` is what each worker has of one now. Another share changes no result, so a run may go on with it.
        """
        if not self._awaited or "device_memory" not in figures:
            return None
        self._most = max(self._most, figures["device_memory"])
        self._whole = figures["device_memory_total"]
        self._awaited.discard(step.kind)
        fitting = min(MOST, int(USABLE * self._whole / (self._most + BESIDE)))
        if self._awaited or fitting <= 1 / gpus:
            return None
        return (
            f"steps took up to {self._most / 1e9:.1f} of the {self._whole / 1e9:.0f} GB of their GPU: {fitting} would "
            f"share one with --gpus-per-worker {100 // fitting / 100:g} (interrupt, and run the same command with it)"
        )
