"""The cells of the table that people read, and what a narrow terminal leaves out first."""

from __future__ import annotations

from bistil_ray.results.columns import view_records
from tests.made_up_record import make_record


def test_the_chosen_student_alone_carries_a_star() -> None:
    records = [make_record("a", recipe="teacher", density=None), make_record("b", retention=0.954), make_record("c")]
    view = view_records(records, [records[1]])
    rows = [dict(zip(view.columns, row, strict=True)) for row in view.rows]
    assert [row["best"] for row in rows] == ["", "*", ""]
    assert rows[0]["density"] == "-"
    assert rows[1]["of teacher"] == "95%"
    assert rows[1]["teacher"] == "models/big", "whole, since it is short where no two end alike"


def test_the_teachers_of_each_language_are_a_column_where_a_student_has_several() -> None:
    alone, merged = make_record("a"), make_record("b", recipe="mergedistill", assignment="en=A,sw=B")
    assert "assignment" not in view_records([alone], []).columns
    view = view_records([alone, merged], [])
    assert [row[view.columns.index("assignment")] for row in view.rows] == ["-", "en=A,sw=B"]
    assert "assignment" not in view.numbers


def test_a_setting_that_all_rows_share_is_the_first_to_be_left_out() -> None:
    two_seeds = [make_record("a", density=0.02), make_record("b", density=0.08, seed=1)]
    assert view_records(two_seeds, []).spare[:2] == ("recipe", "shape")
    assert {"lang", "teacher", "density", "score", "best"}.isdisjoint(view_records(two_seeds, []).spare)
