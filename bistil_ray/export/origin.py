"""Where a saved model comes from: its record, the other records of its run, and the run's configuration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..config import RunConfig
from ..config_sources import load_config
from ..results.records import CONFIG, RESULTS, Record, read_all_records, read_records
from ..results.tables import best_per_language

CARD = "README.md"


@dataclass(frozen=True)
class Origin:
    """A model's record, all records of its run, and how the run was configured (None: not known)."""

    record: Record
    run: Sequence[Record]
    config: RunConfig | None = None

    @property
    def is_best(self) -> bool:
        """Tell whether it is the student that the run chose for its language."""
        return best_per_language(self.run).get(self.record.lang) == self.record

    @property
    def taught_in(self) -> tuple[str, ...]:
        """The languages whose labels it has learned from, as far as is known."""
        return (self.record.source,) if self.config is None else self.config.taught_in

    @property
    def max_length(self) -> int | None:
        """How many tokens of a text its scores are of; None where that is not known."""
        if self.config is None:
            return None
        return (self.config.finetune if self.record.is_student else self.config.teach).max_length

    @property
    def label_map(self) -> dict[str, str]:
        """How labels of data were renamed, as far as is known."""
        return {} if self.config is None else dict(self.config.label_map)

    @property
    def peers(self) -> list[Record]:
        """Give what the model is to be compared with on its language: teachers, then the best of each other recipe."""
        here = [record for record in self.run if record.lang == self.record.lang and record.task == self.record.task]
        teachers = [record for record in here if not record.is_student and record.teacher == self.record.teacher]
        recipes = dict.fromkeys(record.recipe for record in here if record.is_student)
        best = [
            best_per_language(record for record in here if record.recipe == recipe)[self.record.lang]
            for recipe in recipes
            if recipe != self.record.recipe
        ]
        return [record for record in (*teachers, *best) if record.step != self.record.step]


def origin_of(folder: Path) -> Origin | None:
    """Find the origin of ``<run>/best/<lang>``, of a step's folder, or of one that holds its own record; else None."""
    if all((folder / file).is_file() for file in (RESULTS, CONFIG)) and (own := read_all_records(folder / RESULTS)):
        return _origin(own[-1], folder)
    run = folder.parent.parent
    if folder.parent.name == "best" and (run / RESULTS).is_file():
        record = _copied(folder, run)
        return None if record is None else _origin(record, run)
    step = folder.parent
    if step.parent.name != "steps":
        return None
    for results in sorted(step.parent.parent.glob(f"*/{RESULTS}"), key=lambda file: file.stat().st_mtime, reverse=True):
        for record in read_all_records(results):
            # A teacher is the product of another step than its scores.
            if step.name in (record.step, Path(record.model_dir).parent.name):
                return _origin(record, results.parent)
    return None


def _copied(folder: Path, run: Path) -> Record | None:
    """Find whose copy ``best/<lang>`` is: its card tells, for by the run's records there may be a better one by now."""
    card = folder / CARD
    told = card.read_text(encoding="utf-8") if card.is_file() else ""
    own = (record for record in read_all_records(run / RESULTS) if f"`{record.step}`" in told)
    return next(own, None) or best_per_language(read_records(run)).get(folder.name)


def _origin(record: Record, run: Path) -> Origin:
    written = run / CONFIG
    return Origin(record, read_records(run), load_config(str(written)) if written.is_file() else None)
