"""Documents are run for a few steps on small teachers, and what is left out is left out for a reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from bistil_ray.config_sources import load_draft
from bistil_ray.sample.generate import packaged_teachers
from docs.reading import Example
from docs.run import FEW_STEPS, REPLACED, TEACHERS, cut_short, run, why_skipped


def test_training_is_cut_short_and_nothing_else() -> None:
    swept = "bistil-ray sweep --langs sw --layers 6 --set distil.steps=9000"
    assert cut_short(swept, "any") == f"{swept.replace('6', '2')} {FEW_STEPS}"
    assert cut_short("bistil-ray bench T > cost.txt", "any") == "bistil-ray bench T --seconds 0 > cost.txt"
    assert cut_short("bistil-ray results runs/first", "any") == "bistil-ray results runs/first"


def test_the_few_steps_are_settings_that_exist() -> None:
    draft = load_draft(None, [word for word in FEW_STEPS.split() if "=" in word])
    assert 0 < draft.distil.steps < 100


def test_a_reader_s_own_run_is_each_document_s_own() -> None:
    assert cut_short("bistil-ray sweep --name mine", "corpora").startswith("bistil-ray sweep --name mine-corpora ")


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ("bistil-ray export x --out y --push ORG/NAME", "needs the hub"),
        ("bistil-ray corpus build s3://bucket/text --lang sw --out corpora/", "needs a bucket"),
        ("bistil-ray sweep --langs sw --address HOST:6379", "needs a cluster"),
        ("ray up mine.yaml", "needs a cluster"),
        ("bistil-ray dashboard runs/first --serve", "serves until it is stopped"),
        ("bistil-ray dashboard runs/first", None),
        ("bistil-ray sweep --langs sw", None),
    ],
)
def test_what_cannot_be_run_here_is_left_out_for_a_reason(command: str, reason: str | None) -> None:
    assert why_skipped(Example("sh", command)) == reason


def test_every_teacher_that_documents_name_stands_for_one_of_the_sample() -> None:
    assert TEACHERS.keys() <= packaged_teachers().keys()
    assert not any(place in REPLACED for places in TEACHERS.values() for place in places)


def test_a_program_that_fails_says_why(tmp_path: Path) -> None:
    assert run(Example("python", "open('made', 'w').close()"), tmp_path) == "" and (tmp_path / "made").exists()
    assert run(Example("python", "raise ValueError('no such thing')"), tmp_path).endswith("ValueError: no such thing")
