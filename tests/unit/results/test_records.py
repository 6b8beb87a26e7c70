"""Records survive what happens to a file that is appended to for hours: kills, repeats, newer versions."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bistil_ray.errors import StorageError
from bistil_ray.results.records import PLAN, RESULTS, RecordFile, find_run, read_all_records, read_records
from tests.made_up_record import make_record


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "mine" / "results.jsonl"


def test_records_come_back_as_they_were_written_and_in_that_order(file: Path) -> None:
    records = [make_record("b", teacher="teacher/Ẹ̀kọ́"), make_record("a", density=None, source_score=0.25)]
    assert RecordFile(file).append(*records) == 2
    assert read_records(file.parent) == records
    assert read_records(file) == records


def test_a_step_is_recorded_once(file: Path) -> None:
    records = RecordFile(file)
    assert (records.append(make_record("a", score=0.5)), "a" in records, "b" in records) == (1, True, False)
    assert records.append(make_record("a", score=0.9)) == RecordFile(file).append(make_record("a", score=0.8)) == 0
    assert [record.score for record in read_records(file)] == [0.5]
    assert file.read_bytes().count(b"\n") == 1


def test_a_file_cut_off_at_any_byte_gives_its_whole_records_and_takes_the_rest_again(file: Path) -> None:
    records = [make_record("a"), make_record("b", teacher="ọ̀gá"), make_record("c")]
    RecordFile(file).append(*records)
    whole = file.read_bytes()
    second = whole.index(b"\n") + 1
    for length in range(second, len(whole)):
        file.write_bytes(whole[:length])
        left = read_records(file)
        assert left == records[: len(left)]
        assert len(left) >= 1
        RecordFile(file).append(*records)
        assert read_records(file) == records


def test_a_field_of_a_newer_version_is_kept(file: Path) -> None:
    RecordFile(file).append(make_record("a", carbon=1.5))
    assert json.loads(read_records(file)[0].model_dump_json())["carbon"] == 1.5


def test_a_whole_line_that_is_no_record_is_named(file: Path) -> None:
    RecordFile(file).append(make_record("a"))
    with open(file, "a", encoding="utf-8") as stream:
        stream.write('{"step": "b"}\n')
    with pytest.raises(StorageError, match="line 2 is no record"):
        read_records(file)


def test_records_of_an_earlier_plan_are_kept_in_the_file_and_count_no_more(tmp_path: Path) -> None:
    # The same run carried out again on a corrected file: its steps have other fingerprints.
    RecordFile(tmp_path / RESULTS).append(make_record("before", validation_score=0.9), make_record("after"))
    (tmp_path / PLAN).write_text(json.dumps({"steps": [{"key": "after"}]}))
    assert [record.step for record in read_records(tmp_path)] == ["after"]
    assert [record.step for record in read_all_records(tmp_path)] == ["before", "after"]
    (tmp_path / PLAN).write_text('{"steps": [{"ke')
    assert len(read_records(tmp_path)) == 2, "a plan that cannot be read leaves nothing out"


def test_a_run_that_has_only_begun_has_no_records(tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_text("{}")
    assert read_records(tmp_path) == []


def test_the_runs_of_a_storage_folder_are_named_where_the_folder_itself_is_given(tmp_path: Path) -> None:
    for name in ("yours", "mine"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.yaml").write_text("")
    (tmp_path / "steps").mkdir()
    with pytest.raises(StorageError, match=r"is not a run.*the runs in it are mine, yours$"):
        find_run(tmp_path)


@pytest.mark.parametrize("place", ["absent", "empty", "file.txt"])
def test_what_is_no_run_is_refused(tmp_path: Path, place: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file.txt").write_text("")
    with pytest.raises(StorageError, match=place):
        find_run(tmp_path / place)
