"""Records filtered, put in order, the best of each language chosen; written as CSV and JSON."""

from __future__ import annotations

import csv
import difflib
import io
from collections.abc import Iterable, Sequence
from typing import Any

from ..errors import ConfigError
from .records import Record

HIGH_IS_GOOD = {"score", "validation_score", "teacher_score", "retention", "agreement", "source_score"}


def of_languages(records: Iterable[Record], langs: Sequence[str]) -> list[Record]:
    """Keep the records of ``langs``; raises ConfigError where the run has none of one of them."""
    kept = list(records)
    present = list(dict.fromkeys(record.lang for record in kept))
    for lang in langs:
        if lang not in present:
            has = f"it has {', '.join(present)}" if present else "no step has finished yet"
            raise ConfigError(f"the run has no results for --lang {lang}: {has}")
    return [record for record in kept if record.lang in langs]


def arrange(records: Iterable[Record], sort: str = "score") -> list[Record]:
    """Order records for reading: language by language, the undistilled teachers first, then students by ``sort``.

    ``sort`` is a field of Record. Scores go down and everything else goes up, so that the best comes first; what was
    not measured comes last. Raises ConfigError for another word.
    """
    if sort not in Record.model_fields:
        near = difflib.get_close_matches(sort, Record.model_fields, n=1)
        hint = f"; did you mean {near[0]}?" if near else f" (allowed: {', '.join(Record.model_fields)})"
        raise ConfigError(f"--sort {sort!r} is no field of a record{hint}")
    kept = list(records)
    languages = list(dict.fromkeys(record.lang for record in kept))

    def place(record: Record) -> tuple[int, bool, bool, Any]:
        value = getattr(record, sort)
        rank = -value if sort in HIGH_IS_GOOD and value is not None else value
        return languages.index(record.lang), record.is_student, value is None, 0 if value is None else rank

    return sorted(kept, key=place)


def best_per_language(records: Iterable[Record]) -> dict[str, Record]:
    """Choose each language's student, without any label of a target language but those that the run learns from.

    Among students of a recipe it is the one with the highest validation score, among equals the one with the fewest
    parameters, then with the highest agreement with its teacher in the target; in the end the name of its step decides,
    so that the order of ``records`` has no part in it. A student without a validation score is chosen only where none
    has one. Among the chosen of several recipes it is the one that promises most in the target: the validation score of
    its teacher times its agreement with it there, by agreement where that is the same. Recipes differ in how much they
    learn of the source language, so validation in that would favour those that learn little else. Where labels of the
    target are learned from and validated on, validation chooses among recipes too.
    """
    kept = list(records)
    students: dict[str, dict[str, Record]] = {}
    for record in kept:
        if record.is_student:
            of_recipe = students.setdefault(record.lang, {})
            of_recipe[record.recipe] = max(of_recipe.get(record.recipe, record), record, key=_merit)
    return {lang: _most_promising(list(of_recipe.values()), kept) for lang, of_recipe in students.items()}


def _merit(record: Record) -> tuple[float, int, float, str]:
    validation, agreement = (
        float("-inf") if known is None else known for known in (record.validation_score, record.agreement)
    )
    return validation, -record.params, agreement, record.step


def _most_promising(students: Sequence[Record], records: Iterable[Record]) -> Record:
    """Choose among students of one language; by validation where that is in it, or one's promise is not known."""
    taught = {(one.lang, one.teacher): one.validation_score for one in records if one.is_taught_from}
    promises: dict[str, tuple[float, float]] = {}
    for student in students:
        validation = taught.get((student.lang, student.teacher))
        if validation is None or student.agreement is None or student.is_validated_in_target:
            return max(students, key=_merit)
        promises[student.step] = validation * student.agreement, student.agreement
    return max(students, key=lambda student: (promises[student.step], _merit(student)))


def to_csv(records: Iterable[Record]) -> str:
    """Write records as CSV with one column per field of Record; what was not measured is empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(Record.model_fields), extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(record.model_dump(mode="json") for record in records)
    return text.getvalue()
