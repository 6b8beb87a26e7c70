"""What is written is whole or not there, however the writer ends."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from bistil_ray import storage
from bistil_ray.errors import StorageError
from bistil_ray.storage import (
    DONE,
    GCS_SECONDS,
    RESULT,
    append_line,
    is_done,
    mark_done,
    open_filesystem,
    prepare_folder,
    read_result,
    replaceable,
    replacing,
    write_json,
    write_text,
)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_text_and_json_are_written_with_the_folders_they_need(tmp_path: Path) -> None:
    write_text(tmp_path / "a/b/text", "ọmọ")
    write_json(tmp_path / "a/b/data", {"name": "ńlá"})
    assert (tmp_path / "a/b/text").read_text(encoding="utf-8") == "ọmọ"
    assert json.loads((tmp_path / "a/b/data").read_text(encoding="utf-8")) == {"name": "ńlá"}
    assert names(tmp_path / "a/b") == ["data", "text"]


def test_a_failed_replacement_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    write_text(tmp_path / "file", "old")
    with pytest.raises(RuntimeError), replacing(tmp_path / "file") as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert (tmp_path / "file").read_text() == "old"
    assert names(tmp_path) == ["file"]


@pytest.mark.parametrize("place", ["folder", "new/folder"])
def test_a_failed_folder_leaves_nothing(place: str, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), replacing(tmp_path / place) as temporary:
        temporary.mkdir()
        (temporary / "part").touch()
        raise RuntimeError
    assert names(tmp_path) == []


def test_what_came_into_a_new_folder_meanwhile_stays(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), replacing(tmp_path / "new/folder/file"):
        (tmp_path / "new/other").touch()
        raise RuntimeError
    assert names(tmp_path / "new") == ["other"]


def test_a_folder_takes_the_place_of_the_one_that_was_there(tmp_path: Path) -> None:
    for content in ("first", "second"):
        with replacing(tmp_path / "folder") as temporary:
            temporary.mkdir()
            (temporary / content).touch()
    assert names(tmp_path / "folder") == ["second"]


@pytest.mark.parametrize("place", ["folder", "folder/.."])
def test_no_file_takes_the_place_of_a_folder(place: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "mine").touch()
    with pytest.raises(StorageError, match="folder"):
        write_text(tmp_path / place, "a file now")
    assert names(tmp_path) == ["folder"] and names(tmp_path / "folder") == ["mine"]


def test_a_place_below_a_file_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="cannot write to .*file: "):
        write_text(tmp_path / "file" / "report.html", "text")


def test_google_is_not_asked_for_a_quarter_of_an_hour(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyarrow.fs.FileSystem", SimpleNamespace(from_uri=lambda uri: (None, uri)))
    limit = f"retry_limit_seconds={GCS_SECONDS}"
    assert open_filesystem("gs://bucket/runs")[1] == f"gs://bucket/runs?{limit}"
    assert open_filesystem("gs://bucket/runs?scheme=https")[1] == f"gs://bucket/runs?scheme=https&{limit}"
    for place in ("gs://bucket/runs?retry_limit_seconds=3", "s3://bucket/runs"):
        assert open_filesystem(place)[1] == place


def test_while_a_file_is_replaced_readers_see_the_old_one(tmp_path: Path) -> None:
    write_text(tmp_path / "file", "old")
    with replacing(tmp_path / "file") as temporary:
        temporary.write_text("new")
        assert (tmp_path / "file").read_text() == "old"
    assert (tmp_path / "file").read_text() == "new"


@pytest.mark.parametrize(("folder", "file"), [(0o755, 0o644), (0o770, 0o660), (0o700, 0o600)])
def test_whoever_may_read_a_folder_may_read_the_weights_in_it(folder: int, file: int, tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(folder)
    with replacing(shared / "sft.safetensors") as temporary:
        save_file({"weight": torch.zeros(1)}, temporary)
    with replacing(shared / "model") as temporary:
        temporary.mkdir()
        temporary.chmod(folder)
        save_file({"weight": torch.zeros(1)}, temporary / "model.safetensors")
    for name in ("sft.safetensors", "model/model.safetensors"):
        assert (shared / name).stat().st_mode & 0o777 == file


def test_lines_are_appended_with_one_end_each(tmp_path: Path) -> None:
    file = tmp_path / "new" / "lines.jsonl"
    append_line(file, "one")
    append_line(file, "two\n")
    assert file.read_text() == "one\ntwo\n"


def test_the_torn_line_of_a_killed_writer_spoils_no_other(tmp_path: Path) -> None:
    file = tmp_path / "lines.jsonl"
    file.write_text('{"a": 1}\n{"b"')
    append_line(file, '{"c": 3}')
    assert file.read_text().splitlines() == ['{"a": 1}', '{"b"', '{"c": 3}']


def test_a_step_is_done_when_its_result_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []
    real = storage.write_text

    def recorded(path: Path, text: str) -> None:
        written.append(path.name)
        real(path, text)

    monkeypatch.setattr(storage, "write_text", recorded)
    assert not is_done(tmp_path)
    mark_done(tmp_path, {"score": 0.5})
    assert written == [RESULT, DONE]
    assert is_done(tmp_path)
    assert read_result(tmp_path) == {"score": 0.5}


def test_a_result_that_cannot_be_written_leaves_the_step_undone(tmp_path: Path) -> None:
    unwritable: dict[str, Any] = {"score": object()}
    with pytest.raises(TypeError):
        mark_done(tmp_path, unwritable)
    assert not is_done(tmp_path)
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    "problem",
    [
        OSError(28, "No space left on device"),
        OSError("[Errno 122] Error writing bytes to file. Detail: [errno 122] Disk quota exceeded"),
        RuntimeError("I/O error: File too large (os error 27)"),
    ],
)
def test_a_full_disk_is_told_as_such_whoever_met_it(problem: Exception, tmp_path: Path) -> None:
    write_text(tmp_path / "file", "old")
    words = f"cannot write to {tmp_path}: .*; free some space and run the same command again, .*--storage"
    with pytest.raises(StorageError, match=words), replacing(tmp_path / "file") as temporary:
        temporary.write_text("half")
        raise problem
    assert names(tmp_path) == ["file"]
    assert (tmp_path / "file").read_text() == "old"


def test_a_folder_is_made_and_left_empty(tmp_path: Path) -> None:
    assert prepare_folder(str(tmp_path / "a/b"), "--out") == tmp_path / "a/b"
    assert prepare_folder(f"file://{tmp_path}/a/b", "--out") == tmp_path / "a/b"
    assert names(tmp_path / "a/b") == []


@pytest.mark.parametrize("place", ["file", "file/runs", "file/deep/runs"])
def test_a_file_in_the_way_is_named_with_the_flag_to_change(place: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(StorageError, match=f"cannot write to {tmp_path / place}: .*; choose another folder with --out"):
        prepare_folder(str(tmp_path / place), "--out")
    assert (tmp_path / "file").read_text() == "mine"


def test_a_folder_that_takes_no_files_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path, data: bytes) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "write_bytes", refuse)
    with pytest.raises(StorageError, match="Permission denied; choose another folder with --storage"):
        prepare_folder(str(tmp_path), "--storage")


@pytest.mark.parametrize("place", ["s3://bucket/runs", "hf://datasets/me/runs"])
def test_a_folder_is_made_nowhere_but_on_a_file_system(place: str) -> None:
    with pytest.raises(StorageError, match="--out is '.*': give a folder"):
        prepare_folder(place, "--out")


def test_paths_and_uris_lead_to_the_same_file(tmp_path: Path) -> None:
    for uri in (str(tmp_path), f"file://{tmp_path}"):
        filesystem, path = open_filesystem(uri)
        assert (filesystem.type_name, path) == ("local", str(tmp_path))


def test_an_unknown_scheme_is_refused_with_those_there_are() -> None:
    with pytest.raises(StorageError, match="allowed: a folder, s3://, gs://, hf://"):
        open_filesystem("ftp://host/file")


def test_what_a_link_leads_to_is_replaced_and_the_link_stays(tmp_path: Path) -> None:
    link, dangling = tmp_path / "link", tmp_path / "dangling"
    (tmp_path / "real").mkdir()
    link.symlink_to(tmp_path / "real")
    dangling.symlink_to(tmp_path / "later")
    for place in (link, dangling):
        with replacing(place) as temporary:
            temporary.mkdir()
            (temporary / "file").touch()
        assert place.is_symlink() and (place / "file").is_file()


def test_a_pipe_is_not_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(StorageError, match="neither a file nor a folder"):
        write_text(tmp_path / "pipe", "words")
    assert (tmp_path / "pipe").is_fifo()


def test_a_mounted_folder_is_not_replaced() -> None:
    with pytest.raises(StorageError, match="'/proc' is a mounted folder, .* name a new one inside of it"):
        replaceable(Path("/proc"))


def test_a_line_is_whole_however_little_a_write_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:7]))
    append_line(tmp_path / "lines", "a line of more than seven bytes")
    append_line(tmp_path / "lines", "another")
    assert (tmp_path / "lines").read_text() == "a line of more than seven bytes\nanother\n"


@pytest.mark.parametrize("text", [None, "{"])
def test_a_result_that_is_lost_or_damaged_says_what_to_do(tmp_path: Path, text: str | None) -> None:
    mark_done(tmp_path, {"loss": 1.0})
    (tmp_path / "result.json").unlink()
    if text is not None:
        (tmp_path / "result.json").write_text(text)
    with pytest.raises(StorageError, match=f"delete {tmp_path}, and the step is done again"):
        read_result(tmp_path)
