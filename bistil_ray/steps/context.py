"""The seam between a step and the world: what a step is given, and what it may ask for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from transformers import PreTrainedModel

from ..data.order import Chunk, in_batches, read_chunk
from ..storage import CHECKPOINTS
from ..teachers.shared import Teaching

Item = TypeVar("Item")
Product = TypeVar("Product")


@dataclass(frozen=True)
class Job:
    """A step ready to run: its settings, where its inputs lie, the finished folders it needs, and its own folder."""

    kind: str
    settings: Mapping[str, Any]
    inputs: Mapping[str, str]
    needs: Mapping[str, Path]
    folder: Path
    runtime: Mapping[str, Any] = field(default_factory=dict)
    about: Mapping[str, Any] = field(default_factory=dict)

    @property
    def checkpoints(self) -> Path:
        """Where its training saves."""
        return self.folder / CHECKPOINTS

    @property
    def micro_batches(self) -> int:
        """Parts that every batch of its training is cut into."""
        return int(self.runtime.get("accumulation", 1))

    @property
    def trains(self) -> bool:
        """Tell whether the step has a training phase, which several ranks can share."""
        return bool(self.runtime)


class Context(Protocol):
    """What a step may ask of the place it runs in."""

    rank: int
    world_size: int
    device: torch.device

    def map(self, function: Callable[[Item], Product], items: Sequence[Item]) -> list[Product]:
        """Apply ``function`` to every item, wherever there is room; results in the order of the items."""

    def spread(
        self,
        here: Callable[[Item], Product],
        load: Callable[[torch.device], Callable[[Item], Product]],
        items: Sequence[Item],
    ) -> Iterator[Product]:
        """Apply ``here`` to every item, or in other processes, where there are idle devices, what ``load`` gives there.

        For work that takes a model, which each process loads once. Products come in the order of the items.
        """

    def blocks(self, chunks: Sequence[Chunk], batch_size: int) -> Iterator[np.ndarray]:
        """Stream the blocks of ``chunks`` in their order, as int32 arrays (batch_size, T), and no short one."""

    def teaching(self, load: Callable[[], Sequence[PreTrainedModel]]) -> Teaching:
        """Give the teachers that ``load`` gives; students that train side by side have them in common."""

    def in_common(self, name: str, make: Callable[[], Product]) -> Product:
        """Give what ``make`` gives; of steps side by side that ask for one ``name`` the first makes it for all."""

    def take_turn(self, step: int) -> None:
        """Return when this student may train on batch ``step``; of several, one trains at a time."""

    def report(self, metrics: dict[str, Any]) -> None:
        """Tell how far the step has come; every rank reports equally often."""

    def is_to_end(self) -> bool:
        """Tell whether the step should save and end; once one rank is told so, all end."""

    def wait_for_all(self) -> None:
        """Return when every rank has come here."""


class LocalContext:
    """The context of one process without ray: plain loops."""

    rank = 0
    world_size = 1

    def __init__(
        self, report: Callable[[dict[str, Any]], None] | None = None, device: torch.device | None = None
    ) -> None:
        """Report through ``report``, or not at all; compute on ``device``, or on what the machine has."""
        self.device = device or torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._report = report

    def map(self, function: Callable[[Item], Product], items: Sequence[Item]) -> list[Product]:
        """Apply ``function`` to one item after the other."""
        return [function(item) for item in items]

    def spread(
        self,
        here: Callable[[Item], Product],
        load: Callable[[torch.device], Callable[[Item], Product]],
        items: Sequence[Item],
    ) -> Iterator[Product]:
        """Apply ``here`` to one item after the other."""
        return map(here, items)

    def blocks(self, chunks: Sequence[Chunk], batch_size: int) -> Iterator[np.ndarray]:
        """Read chunk after chunk."""
        return in_batches(map(read_chunk, chunks), batch_size)

    def teaching(self, load: Callable[[], Sequence[PreTrainedModel]]) -> Teaching:
        """Load the teachers: nobody in this process has them yet."""
        return Teaching(load())

    def in_common(self, name: str, make: Callable[[], Product]) -> Product:
        """Make it: nobody in this process has it yet."""
        return make()

    def take_turn(self, step: int) -> None:
        """Nobody to wait for."""

    def report(self, metrics: dict[str, Any]) -> None:
        """Pass metrics on."""
        if self._report is not None:
            self._report(metrics)

    def is_to_end(self) -> bool:
        """Nobody to tell: the process itself hears signals."""
        return False

    def wait_for_all(self) -> None:
        """Nobody to wait for."""
