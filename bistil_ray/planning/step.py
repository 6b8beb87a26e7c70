"""One node of a plan, and what its fingerprint is made of.

A step's fingerprint hashes everything that changes its bytes and nothing else, so that equal work has one name in every
run that shares a storage.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..facts import Input
from ..settings import RUNTIME_SETTINGS, Optimisation

# Raised when the algorithm of a kind of step changes its results: then its old steps no longer count as done.
VERSIONS = {
    "pack": 1,
    "pretrain": 3,
    "adapt": 2,
    "task-teacher": 2,
    "evaluate": 3,
    "distil": 4,
    "finetune": 6,
    "predict": 3,
    "merge": 2,
}


@dataclass(frozen=True)
class Step:
    """One node of the plan.

    ``key`` names its folder; ``needs`` maps a role to the key of another step. ``settings`` are part of the
    fingerprint, ``runtime`` (how memory is saved, how often a checkpoint is kept) is not: it changes no result.
    """

    kind: str
    settings: Mapping[str, Any]
    inputs: Mapping[str, str]
    needs: Mapping[str, str]
    fingerprint: str
    about: Mapping[str, Any]
    runtime: Mapping[str, Any] = field(default_factory=dict)
    tokens: int = 0
    flops: float = 0.0

    @property
    def key(self) -> str:
        """Name of the step and of its folder under ``<storage>/steps/``."""
        return f"{self.kind}-{self.fingerprint}"

    @property
    def loads_model(self) -> bool:
        """Tell whether the step computes with a model, on a device where there is one; packs work on text alone."""
        return self.kind != "pack"

    @property
    def title(self) -> str:
        """A short name for people, such as ``distil sw mini-mbert 6 layers``."""
        shown = {"layers": "{} layers", "density": "density {:g}", "seed": "seed {}"}
        parts = [
            shown.get(key, "{}").format(value)
            for key, value in self.about.items()
            if key not in {"recipe", "seed"} or value
        ]
        return " ".join([self.kind, *parts])


def make_step(
    kind: str,
    settings: Mapping[str, Any],
    inputs: Mapping[str, Input],
    needs: Mapping[str, Step],
    about: Mapping[str, Any],
    phase: Optimisation | None = None,
    tokens: int = 0,
    flops: float = 0.0,
) -> Step:
    """Make a step and its fingerprint; ``phase`` is the training phase it has, if any."""
    runtime: dict[str, Any] = {}
    if phase is not None:
        values = phase.model_dump()
        runtime = {name: values.pop(name) for name in RUNTIME_SETTINGS}
        settings = {**settings, **values}
    identity = {
        "kind": kind,
        "version": VERSIONS[kind],
        "settings": settings,
        "inputs": {name: value.fingerprint for name, value in inputs.items()},
        "needs": {role: step.key for role, step in needs.items()},
    }
    text = json.dumps(identity, sort_keys=True, ensure_ascii=False)
    return Step(
        kind=kind,
        settings=settings,
        inputs={name: value.uri for name, value in inputs.items()},
        needs={role: step.key for role, step in needs.items()},
        fingerprint=hashlib.blake2b(text.encode(), digest_size=10).hexdigest(),
        about=about,
        runtime=runtime,
        tokens=tokens,
        flops=flops,
    )
