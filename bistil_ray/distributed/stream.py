"""Ray under a step: a function mapped over shards, and packed blocks streamed in an exact order."""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import ray.data
import torch
import torch.distributed as dist

from ..data.order import Chunk, in_batches, read_chunk
from ..errors import BistilError, DataError
from ..steps.context import Item, LocalContext, Product
from .data_tasks import apply, read
from .ending import told_to_end
from .pool import share

MAP_CPUS, READ_CPUS = 0.3, 0.1
"""CPU that a data task asks for: training processes reserve less than a core each, so that one always finds room."""
LOOK_SECONDS = 1.0
"""How often a step looks at most whether it was told to end."""


class RayContext(LocalContext):
    """The context of a step inside a Ray process: one rank of ``world_size``, with the cluster for its data."""

    def __init__(
        self, report: Callable[[dict[str, Any]], None], device: torch.device, rank: int = 0, world_size: int = 1
    ) -> None:
        """Report through ``report``; compute on ``device``."""
        super().__init__(report, device)
        self.rank, self.world_size = rank, world_size
        self._next_look = 0.0
        options = ray.data.DataContext.get_current()
        options.enable_progress_bars = False
        options.print_on_execution_start = False
        options.execution_options.preserve_order = True

    def map(self, function: Callable[[Item], Product], items: Sequence[Item]) -> list[Product]:
        """Apply ``function`` to every item in Ray's tasks; on several ranks, rank 0 maps for all.

        Not by Ray Data, whose own work takes as much of a small machine again as tasks of half a second.
        """
        products: list[Product] = []
        if self.rank == 0:
            where = ray.data.DataContext.get_current().scheduling_strategy  # also: not in the room of this trial
            task = ray.remote(num_cpus=MAP_CPUS, scheduling_strategy=where)(apply)
            shared_function = ray.put(function)
            products = ray.get([task.remote(shared_function, item) for item in items])
        if self.world_size > 1:
            shared: list[Any] = [products]
            dist.broadcast_object_list(shared)
            products = shared[0]
        for product in products:
            if isinstance(product, BistilError):
                raise product
        return products

    def spread(
        self,
        here: Callable[[Item], Product],
        load: Callable[[torch.device], Callable[[Item], Product]],
        items: Sequence[Item],
    ) -> Iterator[Product]:
        """Apply in a pool of processes what ``load`` gives in each, or ``here``, where there is no room for a pool."""
        return share(load, items, self.device) or map(here, items)

    def blocks(self, chunks: Sequence[Chunk], batch_size: int) -> Iterator[np.ndarray]:
        """Stream the chunks' blocks in their order; reading runs ahead of training in other processes.

        The first chunk is read here: the others' processes take seconds to start.
        """
        if not chunks:
            return
        others, starter = _read_elsewhere(chunks[1:]), ThreadPoolExecutor(1)
        second = starter.submit(next, others, None)
        starter.shutdown(wait=False)  # whoever leaves early does not wait for what has just begun
        yield from in_batches(_in_turn(chunks[0], second, others), batch_size)

    def is_to_end(self) -> bool:
        """Tell whether the sweep was told to end or this node is drained; in between two looks the answer is no."""
        if time.monotonic() < self._next_look:
            return False
        self._next_look = time.monotonic() + LOOK_SECONDS
        return told_to_end()

    def wait_for_all(self) -> None:
        """Return when every rank has come here."""
        if self.world_size > 1:
            dist.barrier()


def _in_turn(first: Chunk, second: Future[np.ndarray | None], others: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    yield read_chunk(first)
    if (rows := second.result()) is not None:
        yield rows
        yield from others


def _read_elsewhere(chunks: Sequence[Chunk]) -> Iterator[np.ndarray]:
    """Read chunks as Ray Data tasks, in their order."""
    if not chunks:
        return
    rows = [{"chunk": pickle.dumps(chunk)} for chunk in chunks]
    data = ray.data.from_items(rows, override_num_blocks=min(len(rows), 64))
    try:
        read_rows = data.map_batches(read, batch_size=1, num_cpus=READ_CPUS)
        for batch in read_rows.iter_batches(batch_size=None, batch_format="numpy", prefetch_batches=4):
            yield batch["ids"]
    except ray.exceptions.RayTaskError as problem:
        # Of what a task raised, Ray Data keeps the words alone.
        _, mistake, reason = str(problem).rpartition(f"{DataError.__name__}: ")
        if not mistake:
            raise
        raise DataError(reason.splitlines()[0]) from problem
