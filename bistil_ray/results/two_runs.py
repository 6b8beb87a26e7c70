"""Two runs side by side: the same settings in both, what each scored, and the difference."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from ..errors import ConfigError
from .columns import View, setting_cells, view_of
from .records import SETTING, Record


@dataclass(frozen=True)
class Pair:
    """One setting in the run looked at (``here``) and in the other one (``there``); None where it has no record."""

    here: Record | None
    there: Record | None

    @property
    def record(self) -> Record:
        """The record of a run that has one."""
        record = self.here or self.there
        assert record is not None, "a pair has at least one record"
        return record

    @property
    def difference(self) -> float | None:
        """The score here less the score there; None unless both have one."""
        return None if self.here is None or self.there is None else self.here.score - self.there.score

    def to_dict(self) -> dict[str, Any]:
        """Give the setting, both scores and their difference as plain values."""
        return {
            **dict(zip(SETTING, _key(self.record), strict=True)),
            "here": self.here and self.here.score,
            "there": self.there and self.there.score,
            "difference": self.difference,
        }


def pair_up(here: Sequence[Record], there: Sequence[Record]) -> list[Pair]:
    """Pair the records of two runs by their settings, language by language in the order of ``here``.

    What only the other run has comes last in its language. Raises ConfigError where the runs are of different tasks,
    or scored by different metrics.
    """
    measures = {f"{record.task} ({record.metric})" for record in (*here, *there)}
    if len(measures) > 1:
        raise ConfigError(f"--compare: the runs are of different tasks, {' and '.join(sorted(measures))}")
    own, other = ({_key(record): record for record in records} for records in (here, there))
    pairs = [Pair(own.get(key), other.get(key)) for key in {**own, **other}]
    languages = list(dict.fromkeys(pair.record.lang for pair in pairs))
    return sorted(pairs, key=lambda pair: languages.index(pair.record.lang))


def mean_differences(pairs: Iterable[Pair]) -> dict[str, float]:
    """Average the differences of students by language, where both runs have one; teachers do not count."""
    found: dict[str, list[float]] = {}
    for pair in pairs:
        if pair.difference is not None and pair.record.is_student:
            found.setdefault(pair.record.lang, []).append(pair.difference)
    return {lang: fmean(differences) for lang, differences in found.items()}


def pairs_to_csv(pairs: Iterable[Pair]) -> str:
    """Write pairs as CSV, one line each; what a run does not have is empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [*SETTING, "here", "there", "difference"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(pair.to_dict() for pair in pairs)
    return text.getvalue()


def view_pairs(pairs: Sequence[Pair]) -> View:
    """Make the table of at least one pair, a row each."""
    return view_of(
        [
            {
                "lang": pair.record.lang,
                **setting_cells(pair.record),
                "here": "-" if pair.here is None else f"{pair.here.score:.3f}",
                "there": "-" if pair.there is None else f"{pair.there.score:.3f}",
                "difference": "-" if pair.difference is None else f"{pair.difference:+.3f}",
            }
            for pair in pairs
        ]
    )


def _key(record: Record) -> tuple[Any, ...]:
    return tuple(getattr(record, name) for name in SETTING)
