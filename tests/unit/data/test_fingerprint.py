"""A fingerprint follows content: it changes with any byte that counts, and with nothing else."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from bistil_ray.data.fingerprint import content_fingerprint
from bistil_ray.errors import DataError


def make_folder(place: Path) -> Path:
    (place / "inner").mkdir(parents=True)
    (place / "config.json").write_text("{}")
    (place / "inner" / "weights").write_bytes(b"12345")
    return place


def test_place_and_time_make_no_difference(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "a")
    before = content_fingerprint(str(folder))
    shutil.copytree(folder, tmp_path / "b" / "copy")
    os.utime(folder / "config.json", (1, 1))
    assert content_fingerprint(str(tmp_path / "b" / "copy")) == before == content_fingerprint(f"{folder}/")
    assert content_fingerprint(f"file://{folder}") == before


def test_content_and_names_inside_a_folder_count(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "a")
    seen = {content_fingerprint(str(folder))}
    (folder / "inner" / "weights").write_bytes(b"12346")
    seen.add(content_fingerprint(str(folder)))
    (folder / "inner" / "weights").rename(folder / "inner" / "other")
    seen.add(content_fingerprint(str(folder)))
    (folder / "more").touch()
    seen.add(content_fingerprint(str(folder)))
    assert len(seen) == 4


def test_hidden_files_do_not_count(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "a")
    before = content_fingerprint(str(folder))
    (folder / ".cache").mkdir()
    (folder / ".cache" / "lock").write_text("x")
    (folder / ".hidden").write_text("x")
    assert content_fingerprint(str(folder)) == before


def test_links_count_as_what_they_lead_to(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "a")
    linked = tmp_path / "b"
    (linked / "inner").mkdir(parents=True)
    (linked / "config.json").symlink_to(folder / "config.json")
    (linked / "inner" / "weights").symlink_to(folder / "inner" / "weights")
    assert content_fingerprint(str(linked)) == content_fingerprint(str(folder))


@pytest.mark.parametrize("changed", [0, 499_999, 999_999])
def test_large_files_are_sampled_from_end_to_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: int) -> None:
    monkeypatch.setattr("bistil_ray.data.fingerprint.WHOLE_BYTES", 1000)
    monkeypatch.setattr("bistil_ray.data.fingerprint._WINDOW", 20_000)
    content = bytearray(1_000_000)
    path = tmp_path / "weights"
    path.write_bytes(content)
    before = content_fingerprint(str(path))
    assert content_fingerprint(str(path)) == before
    content[changed] = 1
    path.write_bytes(content)
    assert content_fingerprint(str(path)) != before


def test_the_size_of_a_large_file_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bistil_ray.data.fingerprint.WHOLE_BYTES", 1000)
    digests = set()
    for size in (1001, 1002):
        (tmp_path / "zeros").write_bytes(bytes(size))
        digests.add(content_fingerprint(str(tmp_path / "zeros")))
    assert len(digests) == 2


def test_remote_files_have_fingerprints(monkeypatch: pytest.MonkeyPatch) -> None:
    hub = MemoryFileSystem()
    hub.store.clear()
    monkeypatch.setattr("huggingface_hub.HfFileSystem", lambda: hub)
    digests = set()
    for content in (b"one", b"two"):
        hub.pipe("/datasets/org/texts/sw.parquet", content)
        digests |= {content_fingerprint("hf://datasets/org/texts/sw.parquet") for _ in range(2)}
    assert len(digests) == 2
    hub.store.clear()


def test_nothing_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        content_fingerprint(str(tmp_path / "gone"))
