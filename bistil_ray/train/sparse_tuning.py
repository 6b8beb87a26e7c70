"""LT-SFT, lottery-ticket sparse fine-tuning (Ansell et al. 2022): few weights of a model are tuned, the right ones."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from ..sparse.select import select_changes
from .loop import run_phase
from .phase import ALONE, Batch, Objective, Phase, Progress, Surroundings
from .pull import Pull


class WholeTuning(NamedTuple):
    """How the dense phase ended, and what it made of the parameters to choose from; the same for every density."""

    progress: Progress
    after: dict[str, Tensor]


@dataclass(frozen=True)
class SparseTuning:
    """What an LT-SFT did: the trained parameters ``before`` it, by name, and how both phases ended."""

    before: dict[str, Tensor]
    dense: Progress
    sparse: Progress

    @property
    def tokens(self) -> int:
        """Tokens seen in both phases."""
        return self.dense.tokens + self.sparse.tokens

    @property
    def terms(self) -> dict[str, float]:
        """Loss by term at the end."""
        return self.sparse.terms

    @property
    def seconds(self) -> float:
        """Duration of both phases."""
        return self.dense.seconds + self.sparse.seconds


def tune_sparsely(
    objective: Objective,
    batches: Callable[[int, int], Iterator[Sequence[Batch]]],
    dense: Phase | None,
    sparse: Phase,
    around: Surroundings = ALONE,
    *,
    density: float,
    head: Collection[str] = (),
    l1: float = 0.0,
    once: Callable[[Callable[[], WholeTuning]], WholeTuning] = lambda make: make(),
) -> SparseTuning:
    """Run LT-SFT on ``objective.model``, which ends with the sparse solution.

    First all parameters that require gradients are tuned (phase ``dense``). Of those not named in ``head`` the share
    ``density`` that moved most is chosen, over all of them together. Everything goes back to its start, and phase
    ``sparse`` tunes the chosen entries and the whole head with a fresh optimiser on the same batches. Where everything
    may change (``density`` 1) there is nothing to choose, and ``dense`` may be None: the rest stays the same.

    ``batches(start, stop)`` iterates over the batches of the steps ``start`` to ``stop``. ``l1`` is the strength of the
    pull towards the start (see Pull), in both phases; the head feels none. What is ``around`` it hears the metrics
    of both phases, each with its ``phase``; with checkpoints there, an interrupted call made again from the same
    starting weights goes on where it stopped, bit for bit: the finished dense phase is read back and the choice made
    again from it. ``once`` is handed the dense phase, and may give what it gave for another density of the same tuning.
    """
    trained = {name: value for name, value in objective.model.named_parameters() if value.requires_grad}
    before = {name: value.detach().clone() for name, value in trained.items()}
    start = {name: value for name, value in before.items() if name not in head}
    pull = Pull(start, l1) if l1 else None

    def run(name: str, phase: Phase, masks: Mapping[str, Tensor] | None) -> Progress:
        return run_phase(
            objective,
            phase,
            lambda step: batches(step, phase.steps),
            replace(
                around,
                checkpoints=around.checkpoints / name if around.checkpoints else None,
                report=lambda metrics: around.report({"phase": name, **metrics}),
            ),
            masks=masks,
            pull=pull,
        )

    def tune_wholly(phase: Phase) -> WholeTuning:
        progress = run("dense", phase, None)
        after = {name: trained[name].detach().clone() for name in start}
        with torch.no_grad():
            for name, value in trained.items():
                value.copy_(before[name])
        return WholeTuning(progress, after)

    if dense is None:
        if density < 1:
            raise ValueError(f"no phase chooses the {density:g} of the parameters that may change")
        return SparseTuning(before, Progress(), run("sparse", sparse, None))
    whole = once(partial(tune_wholly, dense))
    masks = select_changes(start, whole.after, density)
    progress = whole.progress
    del whole  # as large as the model
    return SparseTuning(before, progress, run("sparse", sparse, masks))
