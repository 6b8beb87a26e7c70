"""Bits per character on held-out text while a model trains: the figure that students of any shape share."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from transformers import PreTrainedModel

from ..data.masking import MaskingVocabulary
from ..evaluate.language_model import bits_per_character
from ..planning.halving import examined_at
from ..storage import read_metrics, read_result
from ..train.loop import run_phase
from ..train.phase import Batch, Objective, Progress
from .blocks import held_out_blocks
from .context import Context, Job
from .training import phase_of, surroundings


class Paused(Exception):
    """A step has come to where it is to be compared with others; its checkpoint is there."""

    @property
    def bits(self) -> float:
        """Bits per character there."""
        return float(self.args[0])


def earlier_measures(folder: Path) -> dict[int, float]:
    """Give the bits per character that a step has reported so far, by the step of the optimiser."""
    lines = (line for line in read_metrics(folder) if "bits_per_character" in line)
    return {line["step"]: line["bits_per_character"] for line in lines}


class Examination:
    """Measures a masked language model at evenly spaced steps, the last one included, and reports what it found.

    ``settings`` holds ``steps`` and ``evaluations`` and, where one language matters most, ``lang``.
    """

    def __init__(self, measure: Callable[[], dict[str, float]], settings: Mapping[str, Any], context: Context) -> None:
        """Work out when to ``measure``, which gives bits per character by language."""
        self.measure, self._context = measure, context
        self._target = settings.get("lang")
        self._last = settings["steps"]
        self._due = examined_at(settings)
        self.measured: dict[str, float] = {}

    def __call__(self, progress: Progress) -> None:
        """Measure if the step that was just taken is one of those."""
        if progress.step not in self._due:
            return
        self.measured = self.measure()
        bits = {f"bits_per_character_{lang}": value for lang, value in self.measured.items()}
        shown = compared_bits(self.measured, self._target)
        self._context.report({"step": progress.step, "tokens": progress.tokens, "bits_per_character": shown, **bits})

    def end(self, progress: Progress) -> dict[str, float]:
        """Give what was measured last, now if it is not known; raise Paused where the training is not over."""
        measured = self.measured or self.measure()
        if progress.step < self._last:
            raise Paused(compared_bits(measured, self._target))
        return measured


def train_examined(
    job: Job,
    context: Context,
    objective: Objective,
    batches: Callable[[int], Iterator[Sequence[Batch]]],
    languages: Sequence[str],
    measure: Callable[[], dict[str, float]],
) -> dict[str, Any]:
    """Minimise ``objective`` over ``batches(step)`` for the step's number of them, and ``measure`` now and then.

    Gives what the result of every such step says: tokens, seconds, losses, bits per character by language. Raises
    Paused where a step is to be compared with others before it goes on.
    """
    examine = Examination(measure, job.settings, context)
    progress = run_phase(
        objective,
        phase_of(job, job.settings["steps"], languages),
        batches,
        surroundings(job, context),
        pause_at=job.runtime.get("pause_at"),
        after_step=examine,
    )
    return {
        "bits_per_character": examine.end(progress),
        "tokens": progress.tokens,
        "seconds": progress.seconds,
        "loss": progress.terms,
    }


def compared_bits(measured: Mapping[str, float], lang: str | None) -> float:
    """Give the figure by which students are compared: bits per character in ``lang``, or the mean over languages."""
    return measured[lang] if lang else sum(measured.values()) / len(measured)


def held_out_bits(
    model: PreTrainedModel, pack: Path, vocabulary: MaskingVocabulary, ids: np.ndarray | None = None
) -> dict[str, float]:
    """Give bits per character by language on the held-out blocks of a finished pack.

    ``vocabulary`` is in the model's ids; ``ids`` gives them for the pack's, unless they are the same.
    """
    measured = {}
    for lang, facts in read_result(pack)["languages"].items():
        blocks = held_out_blocks(pack, lang)
        blocks = blocks if ids is None else ids[blocks]
        measured[lang] = bits_per_character(
            model,
            blocks,
            vocabulary,
            characters=facts["held_out_characters"],
            pieces=facts["held_out_pieces"],
        )
    return measured
