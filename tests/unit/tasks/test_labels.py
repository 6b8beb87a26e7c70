"""Labels: in alphabetical order, renamed by name or by type, refused where the source has no such label."""

from __future__ import annotations

import pytest

from bistil_ray.errors import DataError
from bistil_ray.tasks.labels import label_set, map_label, renaming

LABELS = ("B-PER", "I-PER", "O")


def test_labels_are_in_alphabetical_order() -> None:
    found = "O B-PER I-PER B-LOC B-DATE B-PER".split()
    assert label_set(found, {}) == ("B-DATE", "B-LOC", "B-PER", "I-PER", "O")
    assert label_set(found, {"DATE": "O", "LOC": "PLACE"}) == ("B-PER", "B-PLACE", "I-PER", "O")


def test_labels_are_mapped_by_type_or_by_name() -> None:
    mapping = {"DATE": "O", "I-PER": "B-PER", "LOC": "PLACE", "INTJ": "X"}
    old = "B-DATE I-DATE B-PER I-PER I-LOC INTJ O".split()
    assert [map_label(label, mapping) for label in old] == "O O B-PER B-PER I-PLACE X O".split()


def test_a_name_goes_before_a_type() -> None:
    assert map_label("B-LOC", {"LOC": "O", "B-LOC": "B-ORG"}) == "B-ORG"


def test_every_label_found_gets_a_new_name() -> None:
    assert renaming(["O", "B-DATE", "O", "B-PER"], {"DATE": "O"}, LABELS, "test.parquet", "O") == (
        {"B-DATE": "O", "B-PER": "B-PER", "O": "O"}
    )


@pytest.mark.parametrize(
    ("found", "instead", "said"),
    [("B-DATE", "O", "--set label_map.DATE=O"), ("INTJ", "ADJ", "--set label_map.INTJ=ADJ")],
)
def test_a_label_unknown_to_the_source_is_refused(found: str, instead: str, said: str) -> None:
    with pytest.raises(DataError) as caught:
        renaming(["O", found], {}, LABELS, "test.parquet", instead)
    message = str(caught.value)
    assert f"test.parquet has the label {found!r}" in message and "B-PER, I-PER, O" in message
    assert said in message and said.replace("--set label_map.", "--label-map ") in message and "\n" not in message


def test_labels_of_another_task_are_told_from_a_strange_one() -> None:
    with pytest.raises(DataError, match=r"none of the labels B-PER, I-PER, O but NOUN, VERB: is it of another task"):
        renaming(["NOUN", "VERB"], {}, LABELS, "pos.parquet", "O")


def test_all_strange_labels_are_named_at_once_and_each_type_once() -> None:
    with pytest.raises(DataError, match=r"has the label 'B-DATE' \(and TIME\), which .*label_map.DATE=O"):
        renaming(["O", "B-DATE", "I-DATE", "I-TIME", "B-PER"], {}, LABELS, "test.parquet", "O")
