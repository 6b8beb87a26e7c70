"""Labels as strings: which there are, how they are renamed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ..errors import DataError

NO_SPAN = "O"
"""The tag of a word outside of every span."""
SPAN_PREFIXES = ("B-", "I-")


def map_label(label: str, label_map: Mapping[str, str]) -> str:
    """Rename a label: by its whole name, or a span's tag by its type, so that ``DATE: O`` turns B-DATE into O."""
    if label in label_map:
        return label_map[label]
    prefix, kind = label[:2], label[2:]
    if prefix in SPAN_PREFIXES and kind in label_map:
        new = label_map[kind]
        return new if new == NO_SPAN else prefix + new
    return label


def label_set(found: Iterable[str], label_map: Mapping[str, str]) -> tuple[str, ...]:
    """Give the labels that occur, mapped, in alphabetical order: row i of a head belongs to label i.

    The published code orders them so too; ``O`` has no place of its own.
    """
    return tuple(sorted({map_label(label, label_map) for label in found}))


def renaming(
    found: Iterable[str], label_map: Mapping[str, str], labels: Sequence[str], uri: str, instead: str
) -> dict[str, str]:
    """Give the new name of each label found in ``uri``; DataError for a result that is not in ``labels``.

    ``instead`` is the label that the error proposes to map a strange one to, unless all are strange.
    """
    renamed = {label: map_label(label, label_map) for label in sorted(set(found))}
    if len(renamed) > 1 and not set(renamed.values()) & set(labels):
        raise DataError(
            f"{uri} has none of the labels {', '.join(labels)} but {', '.join(list(renamed.values())[:5])}: "
            "is it of another task (--task, --task-data)?"
        )
    strange = [label for label, new in renamed.items() if new not in labels]
    if strange:
        kinds = list(dict.fromkeys(label[2:] if label.startswith(SPAN_PREFIXES) else label for label in strange))
        more = f" (and {', '.join(kinds[1:])})" if kinds[1:] else ""
        raise DataError(
            f"{uri} has the label {renamed[strange[0]]!r}{more}, which the source language's training data "
            f"does not have ({', '.join(labels)}): map it, such as --set label_map.{kinds[0]}={instead} "
            f"(of evaluate and export: --label-map {kinds[0]}={instead})"
        )
    return renamed
