"""The room that one step gets on the cluster, and the kinds of places there are for steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from ray.tune import PlacementGroupFactory

from ..planning.step import Step
from .stream import MAP_CPUS

DRIVER_CPUS = 0.01
"""What a trial reserves when its workers reserve the real thing: zero is not allowed."""
MODELS, PACKS = "models", "packs"
"""Kinds of places for steps: for all but packs, and for packs, which need no device."""


@dataclass(frozen=True)
class Slot:
    """The room one step gets: ``workers`` processes of ``cpus`` cores and ``gpus`` devices each, and the launcher."""

    launcher: str
    workers: int
    cpus: float
    gpus: float

    @property
    def trial_resources(self) -> dict[str, float]:
        """What Ray Tune reserves for the trial itself."""
        if self.launcher == "train":
            return {"CPU": DRIVER_CPUS}
        return {"CPU": self.reserved_cpus} | ({"GPU": self.gpus} if self.gpus else {})

    @property
    def reserved_cpus(self) -> float:
        """A worker's reservation: its cores less the share kept free for data tasks."""
        return max(DRIVER_CPUS, self.cpus - MAP_CPUS)

    @property
    def without_device(self) -> Slot:
        """The room of a step that loads no model: the trial's own process, wherever that is."""
        return replace(self, launcher="process", workers=1, gpus=0.0)

    def with_share(self, gpus: float) -> Slot:
        """The room of a step with such a share of a GPU, and of the cores that come with one.

        Beside a GPU a step without a share, a pack, leaves its work to data tasks and needs hardly a core.
        """
        if not gpus:
            return replace(self.without_device, cpus=DRIVER_CPUS)
        return replace(self, gpus=gpus, cpus=max(1.0, self.cpus * gpus // self.gpus))


def slot_of(config: Mapping[str, Any], slot: Slot) -> Slot:
    """Give the room of a trial: ``slot``, or what its share of a GPU comes to."""
    return slot.with_share(config["gpus"]) if "gpus" in config else slot


def reserved_for(config: Mapping[str, Any], slot: Slot) -> PlacementGroupFactory:
    """Give what Ray Tune reserves for a trial."""
    return PlacementGroupFactory([slot_of(config, slot).trial_resources])


def place_for(step: Step, places: Mapping[str, int]) -> str:
    """Name the kind of place that ``step`` takes: a pack takes one of the models' where there are none for packs."""
    return MODELS if step.loads_model or PACKS not in places else PACKS
