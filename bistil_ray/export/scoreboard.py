"""A model's scores beside those of its teacher and of the baselines of the same run, and how it was chosen."""

from __future__ import annotations

from ..languages import language_name
from ..results.records import Record
from .markdown import words
from .origin import Origin


def scores_beside_peers(origin: Origin) -> str:
    """Write the table of scores and what there is to say about them, as Markdown."""
    record = origin.record
    validated_in = record.validation_lang or record.source
    head = (
        "| model | recipe | layers x width | parameters | size | latency | "
        f"{record.metric} {record.lang} test | {record.source} test | {validated_in} validation |\n"
        "| --- | --- | --: | --: | --: | --: | --: | --: | --: |"
    )
    rows = [_row("**this model**", record), *(_row(_name(peer), peer) for peer in origin.peers)]
    return "\n".join([head, *rows]) + f"\n\n{_selection(origin)} {_caution(origin)}"


def _row(name: str, record: Record) -> str:
    scores = (record.score, record.source_score, record.validation_score)
    cells = [
        name,
        record.recipe + ("" if record.density is None else f", density {record.density:g}"),
        f"{record.layers} x {record.hidden}",
        f"{record.params:,}",
        f"{record.bytes / 1e6:.1f} MB",
        "-" if record.latency_ms is None else f"{record.latency_ms:.1f} ms",
        *("-" if score is None else f"{score:.3f}" for score in scores),
    ]
    return f"| {' | '.join(cells)} |"


def _name(record: Record) -> str:
    return f"{'student of' if record.is_student else 'teacher'} {words(record.teacher)}"


def _selection(origin: Origin) -> str:
    record = origin.record
    if not record.is_student:
        return "It is the undistilled teacher that students were compared with."
    students = [other for other in origin.run if other.is_student and other.lang == record.lang]
    if len(students) < 2:
        return "It is the run's only student of this language: nothing was chosen."
    among = f"of the run's {len(students)} students of this language"
    if not origin.is_best:
        return f"It is one {among}, and not the one the run chose."
    validated_in = language_name(record.validation_lang or record.source)
    if record.validation_score is None:
        return f"It is the smallest {among}: there was no {validated_in} validation set to choose by."
    by_validation = f"It was chosen {among} by the score on the {validated_in} validation set"
    recipes = {student.recipe for student in students}
    if len(recipes) == 1 or record.is_validated_in_target or any(student.agreement is None for student in students):
        return f"{by_validation}."
    return f"{by_validation}, and among recipes by how far it agrees with its teacher in the target language."


def _caution(origin: Origin) -> str:
    record, target = origin.record, language_name(origin.record.lang)
    if record.lang in origin.taught_in:
        unseen = f"{target} labels were learned from, too."
    else:
        unseen = f"No {target} labels were used to train or to choose it."
    return (
        f"{unseen} The {target} test score is as it came out, from one training run (seed {record.seed}). Other "
        "recipes are shown by their best model, chosen by the same rule. Size is that of the saved weights; latency is "
        "the median for one text of 128 tokens on one CPU thread of the machine that made it."
    )
