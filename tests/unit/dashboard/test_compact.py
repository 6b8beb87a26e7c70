"""Small tables lose nothing that a picture shows."""

from __future__ import annotations

from typing import Any

import pytest

from bistil_ray.dashboard.compact import EXACT, compact_table


def unpacked(table: dict[str, Any]) -> list[dict[str, Any]]:
    def cell(column: dict[str, Any], row: int) -> Any:
        return (
            column["all"]
            if "all" in column
            else column["words"][column["at"][row]]
            if "words" in column
            else column["each"][row]
        )

    return [{name: cell(column, row) for name, column in table["columns"].items()} for row in range(table["rows"])]


def test_rows_come_back_as_they_were() -> None:
    rows = [
        {"key": f"k{n}", "lang": "sw" if n % 2 else "yo", "task": "ner", "needs": [n], "score": n / 8} for n in range(8)
    ]
    table = compact_table(rows)
    assert unpacked(table) == rows
    assert table["columns"]["task"] == {"all": "ner"}
    assert table["columns"]["lang"] == {"words": ["yo", "sw"], "at": [0, 1] * 4}


def test_what_a_row_lacks_is_none_and_what_json_lacks_too() -> None:
    rows = [{"score": float("nan")}, {"lang": "sw"}, {"score": 0.1234567}]
    assert unpacked(compact_table(rows)) == [
        {"score": None, "lang": None}, {"score": None, "lang": "sw"}, {"score": 0.12346, "lang": None}
    ]  # fmt: skip


@pytest.mark.parametrize("values", [[True, 1, 1.0], [1, "1", None], [[1], [1], [2]]])
def test_equal_looking_values_stay_apart(values: list[Any]) -> None:
    columns = compact_table([{"x": value} for value in values * 3])
    assert [row["x"] for row in unpacked(columns)] == values * 3


def test_no_rows_are_a_table_too() -> None:
    assert compact_table([]) == {"rows": 0, "columns": {}}


def test_scores_keep_the_digits_that_rounding_and_choosing_take() -> None:
    rows = [{"score": 0.1445030267525874}, {"score": 0.1445030267}]
    scores = [row["score"] for row in unpacked(compact_table(rows, digits=EXACT))]
    assert f"{scores[0]:.3f}" == "0.145" and scores[0] > scores[1]
