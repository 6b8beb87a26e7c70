"""Batches in parts that fit into memory: cut in micro-batches, and cut again when memory runs out all the same."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from ..errors import TrainingError
from .phase import Batch

log = logging.getLogger(__name__)
Result = TypeVar("Result")
OUT_OF_MEMORY = (
    "DefaultCPUAllocator",
    "CUDA error: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
)
"""Words of the errors that are no ``torch.OutOfMemoryError`` and yet say the same."""


def micro_batches(batch: Batch, number: int) -> list[Batch]:
    """Cut a batch into so many, nearly alike, or into single rows where it has fewer."""
    parts = zip(*(values.chunk(number) for values in batch.values()), strict=True)
    return [dict(zip(batch, part, strict=True)) for part in parts]


@dataclass
class Fitting:
    """How small the parts of a batch must be: each micro-batch is cut into ``cuts``."""

    cuts: int = 1

    def run(
        self, batch: Sequence[Batch], attempt: Callable[[Sequence[Batch]], Result], undo: Callable[[], None]
    ) -> Result:
        """Give what ``attempt`` makes of the parts.

        Whenever memory runs out, ``undo`` takes back what was begun and every part is halved, now and from now on.
        TrainingError when single rows do not fit.
        """
        while True:
            parts = [part for micro in batch for part in micro_batches(micro, self.cuts)]
            try:
                return attempt(parts)
            except RuntimeError as problem:
                if not is_out_of_memory(problem):
                    raise
            # After the exception is gone, whose traceback holds on to what the attempt had in memory.
            undo()
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            self._halve(max(parts, key=lambda part: len(part["attention_mask"]))["attention_mask"])

    def _halve(self, mask_BT: Tensor) -> None:
        rows, tokens = mask_BT.shape
        if rows <= 1:
            raise TrainingError(
                f"a single row of {tokens} tokens does not fit into memory: lower packing.length or max_length, "
                "or take a smaller model"
            )
        self.cuts *= 2
        log.warning("out of memory with micro-batches of %d rows: going on with %d", rows, (rows + 1) // 2)


def is_out_of_memory(problem: RuntimeError) -> bool:
    """Tell whether torch says that memory, of a device or of the machine, did not suffice."""
    return isinstance(problem, torch.OutOfMemoryError) or any(words in str(problem) for words in OUT_OF_MEMORY)
