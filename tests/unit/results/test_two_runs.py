"""Two runs side by side: settings are matched, differences have the right sign, nothing is passed over."""

from __future__ import annotations

import csv
import io

import pytest

from bistil_ray.errors import ConfigError
from bistil_ray.results.two_runs import mean_differences, pair_up, pairs_to_csv, view_pairs
from tests.made_up_record import make_record


def test_only_records_that_differ_in_nothing_are_a_pair() -> None:
    changes = [{"lang": "yo"}, {"teacher": "b"}, {"recipe": "scratch"}, {"layers": 2}, {"hidden": 8}]
    changes += [{"density": 0.3}, {"seed": 1}, {"assignment": "en=A,sw=B"}]
    here = [make_record("same", score=0.5)]
    there = [make_record("same too", score=0.4)] + [make_record(f"o{n}", **change) for n, change in enumerate(changes)]
    pairs = pair_up(here, there)
    assert [pair.difference is None for pair in pairs].count(False) == 1
    assert len(pairs) == 1 + len(changes)
    assert pairs[0].difference == pytest.approx(0.1), "above 0: better here"


def test_languages_stay_together_and_what_only_the_other_has_comes_last_in_its_own() -> None:
    here = [make_record("a", lang="sw"), make_record("b", lang="yo")]
    there = [make_record("c", lang="sw", seed=1), make_record("d", lang="yo")]
    assert [(pair.record.lang, pair.here is None) for pair in pair_up(here, there)] == [
        ("sw", False),
        ("sw", True),
        ("yo", False),
    ]


def test_teachers_and_settings_of_one_run_have_no_part_in_the_mean() -> None:
    here = [make_record("a", score=0.5), make_record("b", score=0.7, seed=1), make_record("c", score=0.9, seed=2)]
    there = [make_record("x", score=0.4), make_record("y", score=0.9, seed=1), make_record("z", lang="yo")]
    for records, score in ((here, 0.9), (there, 0.1)):
        records.append(make_record(f"teacher{score}", recipe="teacher", density=None, score=score))
    assert mean_differences(pair_up(here, there)) == {"sw": pytest.approx(-0.05)}


def test_runs_of_different_tasks_are_not_compared() -> None:
    with pytest.raises(ConfigError, match=r"different tasks, ner \(f1\) and pos \(accuracy\)"):
        pair_up([make_record("a")], [make_record("b", task="pos", metric="accuracy")])


def test_csv_and_table_leave_open_what_a_run_does_not_have() -> None:
    pairs = pair_up([make_record("a", score=0.5)], [make_record("b", seed=1, score=0.25)])
    rows = list(csv.DictReader(io.StringIO(pairs_to_csv(pairs))))
    assert [(row["here"], row["there"], row["difference"]) for row in rows] == [("0.5", "", ""), ("", "0.25", "")]
    view = view_pairs(pairs)
    assert [row[-3:] for row in view.rows] == [("0.500", "-", "-"), ("-", "0.250", "-")]
