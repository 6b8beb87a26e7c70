"""Numbers that go wrong: losses and gradients that are not finite, and a loss that does not fall."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence

from ..errors import TrainingError
from .phase import Phase, Progress

log = logging.getLogger(__name__)
MAX_SKIPPED = 10
"""Steps in a row that may be passed over because their numbers were bad."""
LEAST_COMPARED = 5
"""Steps in a tenth of a phase that it takes to say whether the loss fell."""


def is_finite(terms: Mapping[str, float], norm: float) -> bool:
    """Tell whether a step with these loss terms and this gradient norm may be taken."""
    return math.isfinite(norm) and math.isfinite(sum(terms.values()))


def count_skipped(progress: Progress, terms: Mapping[str, float], norm: float, lang: str) -> None:
    """Take note of a step on a batch of ``lang`` that was, or was not, passed over for its numbers.

    TrainingError, which names the batch, after too many in a row.
    """
    if is_finite(terms, norm):
        progress.skipped = 0
        return
    progress.skipped += 1
    batch = f"step {progress.step}" + (f", a batch of {lang!r}," if lang else "")
    figures = ", ".join(f"{name} {value:.4g}" for name, value in [*terms.items(), ("gradient norm", norm)])
    log.warning("%s gave a loss or gradient that is not finite (%s); skipped", batch, figures)
    if progress.skipped >= MAX_SKIPPED:
        raise TrainingError(
            f"{MAX_SKIPPED} steps in a row up to {batch} gave NaN or infinity ({figures}): "
            "lower lr or set precision=fp32"
        )


def follow_loss(progress: Progress, phase: Phase, terms: Mapping[str, float], norm: float) -> None:
    """Add the loss of the step just taken to those of the phase's first or last tenth, if it is of either."""
    tenth = phase.steps // 10
    if not is_finite(terms, norm):
        return
    if progress.step <= tenth:
        progress.early = _added(progress.early, sum(terms.values()))
    elif progress.step > phase.steps - tenth:
        progress.late = _added(progress.late, sum(terms.values()))


def loss_warning(progress: Progress) -> str | None:
    """Say at a phase's end that its loss did not fall: the mean of its last tenth is not below that of its first."""
    (first, firsts), (last, lasts) = progress.early, progress.late
    if min(firsts, lasts) < LEAST_COMPARED or last / lasts < first / firsts:
        return None
    return (
        f"the loss did not fall: {first / firsts:.4g} on average in the first tenth of the steps, "
        f"{last / lasts:.4g} in the last"
    )


def _added(tally: Sequence[float], loss: float) -> tuple[float, float]:
    summed, number = tally
    return summed + loss, number + 1
