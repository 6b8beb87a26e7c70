"""A pool of processes that each load a model once, for a step that finds idle devices or cores beside its own.

The room is reserved as a whole before the pool starts: steps that wait for each other's room would wait for ever.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import ray
import torch
from ray.data import ActorPoolStrategy, DataContext
from ray.util.placement_group import PlacementGroup, placement_group, remove_placement_group
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy, PlacementGroupSchedulingStrategy

from ..errors import BistilError
from .data_tasks import apply

Item = TypeVar("Item")
Product = TypeVar("Product")
Load = Callable[[torch.device], Callable[[Item], Product]]

LEAST = 2
"""Fewer processes are no gain: the one that waits for them can do the work of one itself."""
PATIENCE = 10.0
"""Seconds to wait for the room, which another step may have taken in the meantime."""


def share(load: Load[Item, Product], items: Sequence[Item], device: torch.device) -> Iterator[Product] | None:
    """Apply what ``load`` gives on a device such as this to every item, in processes of as much room as this one has.

    Products come as Ray Data orders them. None where too few processes would find room, or might find it on nodes that
    do not see this one's files: then nothing was done.
    """
    if _works_on_copies() and sum(node["Alive"] for node in ray.nodes()) > 1:
        return None
    each = _own_room()
    free = ray.available_resources()
    processes = min(len(items), *(int(free.get(name, 0.0) // amount) for name, amount in each.items()))
    if processes < LEAST:
        return None
    room = placement_group([each] * processes)
    if not room.wait(PATIENCE):
        remove_placement_group(room)
        return None
    return _products(load, items, device, room, each)


def _works_on_copies() -> bool:
    """Tell whether data tasks are kept on this node, with its working copy of a bucket."""
    return isinstance(DataContext.get_current().scheduling_strategy, NodeAffinitySchedulingStrategy)


def _products(
    load: Load[Item, Product], items: Sequence[Item], device: torch.device, room: PlacementGroup, each: dict[str, float]
) -> Iterator[Product]:
    try:
        rows = [{"item": pickle.dumps(item)} for item in items]
        done = ray.data.from_items(rows, override_num_blocks=len(rows)).map(
            _Loaded,
            fn_constructor_args=(load, device.type, torch.get_num_threads()),
            compute=ActorPoolStrategy(size=room.bundle_count),
            num_cpus=each.get("CPU"),
            num_gpus=each.get("GPU"),
            scheduling_strategy=PlacementGroupSchedulingStrategy(room),
        )
        for row in done.iter_rows():
            product = pickle.loads(row["product"])
            if isinstance(product, BistilError):
                raise product
            yield product
    finally:
        remove_placement_group(room)


class _Loaded:
    """A process of the pool: what it loaded, applied to one item after the other."""

    def __init__(self, load: Load[Any, Any], device: str, threads: int) -> None:
        torch.set_num_threads(threads)
        self._function = load(torch.device(device))

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        return {"product": pickle.dumps(apply(self._function, pickle.loads(row["item"])))}


def _own_room() -> dict[str, float]:
    """What this process has reserved; one that is no actor of Ray counts as one core."""
    process = ray.get_runtime_context()
    reserved = process.get_assigned_resources() if process.get_actor_id() else {}
    return {name: reserved[name] for name in ("CPU", "GPU") if reserved.get(name)} or {"CPU": 1.0}
