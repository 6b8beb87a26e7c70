"""Bits per character on held-out text while a model trains: the figure that students of any shape share."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel

from ..data.masking import MaskingVocabulary
from ..evaluate.language_model import bits_per_character
from ..storage import read_result
from ..train.loop import Progress
from .blocks import held_out_blocks
from .context import Context


class Examination:
    """Measures a masked language model at evenly spaced steps, the last one included, and reports what it found.

    ``settings`` holds ``steps`` and ``evaluations`` and, where one language matters most, ``lang``.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        pack: Path,
        vocabulary: MaskingVocabulary,
        settings: Mapping[str, Any],
        context: Context,
    ) -> None:
        """Read the held-out blocks of every language in the pack."""
        self._model, self._vocabulary, self._context = model, vocabulary, context
        facts = read_result(pack)["languages"]
        self._texts = {lang: (held_out_blocks(pack, lang), facts[lang]) for lang in facts}
        self._target = settings.get("lang")
        self._last = settings["steps"]
        self._due = {self._last * (turn + 1) // settings["evaluations"] for turn in range(settings["evaluations"])}
        self.measured: dict[str, float] = {}

    def __call__(self, progress: Progress) -> None:
        """Measure if the step that was just taken is one of those."""
        if progress.step not in self._due:
            return
        self.measured = self.measure()
        bits = {f"bits_per_character_{lang}": value for lang, value in self.measured.items()}
        shown = self.measured[self._target] if self._target else sum(self.measured.values()) / len(self.measured)
        self._context.report({"step": progress.step, "tokens": progress.tokens, "bits_per_character": shown, **bits})

    def measure(self) -> dict[str, float]:
        """Give bits per character by language."""
        training = self._model.training
        self._model.eval()
        measured = {
            lang: bits_per_character(
                self._model,
                blocks,
                self._vocabulary,
                characters=facts["held_out_characters"] * len(blocks) / facts["held_out_blocks"],
                pieces=facts["held_out_pieces"] * len(blocks) / facts["held_out_blocks"],
            )
            for lang, (blocks, facts) in self._texts.items()
        }
        self._model.train(training)
        return measured
