"""A bucket holds what this machine made, another machine finds it there, and nothing looks finished before it is."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from threading import Barrier
from types import SimpleNamespace
from typing import Any

import pytest

from bistil_ray.data import patience
from bistil_ray.errors import StorageError
from bistil_ray.run_storage import RunStorage, open_storage
from bistil_ray.storage import mark_done, write_text

MachineMaker = Callable[[str], RunStorage]


@pytest.fixture
def machine(bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MachineMaker:
    """A function giving the bucket as one of several machines sees it."""

    def make(name: str) -> RunStorage:
        monkeypatch.setenv("BISTIL_RAY_CACHE", str(tmp_path / name))
        return open_storage(bucket)

    return make


def made(storage: RunStorage, step: str, files: dict[str, str]) -> Path:
    folder = storage.folder / "steps" / step
    for name, text in files.items():
        write_text(folder / name, text)
    return folder


def test_a_machine_finds_what_another_one_has_published(machine: MachineMaker) -> None:
    one, two = machine("one"), machine("two")
    folder = made(one, "pack-1", {"blocks/sw/a.parquet": "blocks", "metrics.jsonl": "{}\n"})
    mark_done(folder, {"vocab_size": 7})
    one.publish("steps/pack-1")
    two.fetch(["steps/pack-1", "steps/of-nobody"])
    assert {path.name: path.read_text() for path in (two.folder / "steps/pack-1").rglob("*") if path.is_file()} == {
        "a.parquet": "blocks",
        "metrics.jsonl": "{}\n",
        "result.json": '{\n  "vocab_size": 7\n}\n',
        "DONE": "",
    }


def test_finished_steps_are_known_with_their_results_without_fetching_their_products(machine: MachineMaker) -> None:
    one, two = machine("one"), machine("two")
    mark_done(made(one, "distil-2", {"student/model.safetensors": "weights"}), {"loss": 1.5})
    made(one, "distil-3", {"checkpoints/step-1/state.json": "{}"})
    for step in ("distil-2", "distil-3"):
        one.publish(f"steps/{step}")
    assert two.finished(["steps/distil-2", "steps/distil-3", "steps/distil-4"]) == ["steps/distil-2"]
    assert sorted(path.name for path in two.folder.rglob("*") if path.is_file()) == ["DONE", "result.json"]


def test_what_came_from_the_bucket_is_not_sent_back(machine: MachineMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = machine("one"), machine("two")
    made(one, "distil-7", {"checkpoints/step-1/state.json": "{}", "metrics.jsonl": "{}\n"})
    one.publish("steps/distil-7")
    two.fetch(["steps/distil-7"])
    made(two, "distil-7", {"metrics.jsonl": "{}\n{}\n"})
    sent: list[str] = []
    monkeypatch.setattr(RunStorage, "_upload", lambda storage, name: sent.append(name))
    two.publish("steps/distil-7")
    assert sent == ["steps/distil-7/metrics.jsonl"]


def test_a_best_student_leaves_nothing_behind_when_another_takes_its_place(machine: MachineMaker) -> None:
    one, two = machine("one"), machine("two")
    for lang in ("sw", "yo"):
        write_text(one.folder / f"best-run/best/{lang}/tokenizers/{lang}/tokenizer.json", "{}")
    one.publish("best-run")
    write_text(two.folder / "best-run/best/sw/tokenizer.json", "{}")
    two.publish("best-run")
    three = machine("three")
    three.fetch(["best-run"])
    found = sorted(str(path.relative_to(three.folder)) for path in three.folder.rglob("*.json"))
    assert found == ["best-run/best/sw/tokenizer.json", "best-run/best/yo/tokenizers/yo/tokenizer.json"]


def test_files_of_a_run_are_brought_anew_and_those_of_a_step_once(machine: MachineMaker) -> None:
    """A plan for corrected data is as long as the one before: fingerprints are."""
    one, two = machine("one"), machine("two")
    for words in ("before", "after!"):
        write_text(one.folder / "corrected/plan.json", words)
        write_text(made(one, "pack-11", {}) / "kept.npy", words)
        one.publish("corrected")
        one.publish("steps/pack-11")
        two.fetch(["corrected/plan.json", "steps/pack-11"])
    assert (two.folder / "corrected/plan.json").read_text() == "after!"
    assert (two.folder / "steps/pack-11/kept.npy").read_text() == "before"


def test_a_folder_is_removed_here_and_in_the_bucket(machine: MachineMaker) -> None:
    one, two = machine("one"), machine("two")
    for lang in ("sw", "yo"):
        write_text(one.folder / f"cleared/best/{lang}/README.md", "card")
    one.publish("cleared")
    one.remove("cleared/best/sw")
    one.remove("cleared/best/of-nobody")
    two.fetch(["cleared"])
    for storage in (one, two):
        assert [path.name for path in (storage.folder / "cleared/best").iterdir()] == ["yo"]


def test_a_place_on_another_machine_or_before_a_move_is_found_by_its_step(bucket: str, tmp_path: Path) -> None:
    moved = tmp_path / "moved" / "steps" / "finetune-1" / "model"
    moved.mkdir(parents=True)
    storage = open_storage(str(tmp_path / "moved"))
    assert storage.bring(str(moved)) == storage.bring("/gone/runs/steps/finetune-1/model") == moved
    assert storage.bring(f"{tmp_path}/moved-from/steps/finetune-1/model") == moved
    there = open_storage(bucket).place_of("/home/ray/.cache/bistil-ray/1f/steps/finetune-1/model")
    assert there.startswith("s3://bucket/runs/steps/finetune-1/model")


def failing(operation: Callable[..., Any], times: int) -> Callable[..., Any]:
    """An operation on a bucket that fails so often at every file before it succeeds."""
    failures: Counter[str] = Counter()

    def ask(*what: Any) -> Any:
        failures[repr(what[-1])] += 1
        if failures[repr(what[-1])] <= times:
            raise OSError("AWS Error SLOW_DOWN during GetObject operation: Please reduce your request rate.")
        return operation(*what)

    return ask


def test_a_bucket_is_asked_for_many_steps_side_by_side(machine: MachineMaker) -> None:
    storage, met = machine("one"), Barrier(4)
    steps = [f"steps/distil-{number}" for number in range(4)]

    def look(path: str) -> SimpleNamespace:
        met.wait(timeout=20)  # which fails where they are asked for one after the other
        return SimpleNamespace(is_file=False)

    assert replace(storage, bucket=SimpleNamespace(get_file_info=look)).finished(steps) == []


def test_a_bucket_that_fails_for_a_while_is_asked_again(machine: MachineMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "WAITS", [0.0] * 3)
    one, two = machine("one"), machine("two")
    mark_done(made(one, "pack-8", {"blocks": "blocks"}), {})
    for move in ("_upload", "_download"):
        monkeypatch.setattr(RunStorage, move, failing(getattr(RunStorage, move), 3))
    one.publish("steps/pack-8")
    assert two.finished(["steps/pack-8"]) == ["steps/pack-8"]
    looking = replace(machine("three"), bucket=SimpleNamespace(get_file_info=failing(two.bucket.get_file_info, 3)))
    assert looking.finished(["steps/of-nobody"]) == []
    looking.fetch(["steps/of-nobody"])


def test_a_bucket_that_does_not_come_back_is_an_error(machine: MachineMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "WAITS", [0.0] * 3)
    one = machine("one")
    made(one, "pack-9", {"blocks": "blocks"})
    monkeypatch.setattr(RunStorage, "_upload", failing(RunStorage._upload, 4))
    with pytest.raises(StorageError, match=r"^s3://bucket/runs.*: AWS Error SLOW_DOWN"):
        one.publish("steps/pack-9")


@pytest.mark.parametrize("hours", [-1, 1], ids=["back", "forward"])
def test_what_was_changed_is_published_whatever_the_clock_was_set_to(machine: MachineMaker, hours: int) -> None:
    one, two = machine("one"), machine("two")
    status = made(one, f"clock{hours}", {"status.json": "waiting"}) / "status.json"
    one.publish(f"steps/clock{hours}")
    write_text(status, "running")
    os.utime(status, ns=(0, time.time_ns() + hours * 3_600_000_000_000))
    one.publish(f"steps/clock{hours}")
    two.fetch([f"steps/clock{hours}"])
    assert (two.folder / f"steps/clock{hours}/status.json").read_text() == "running"


def test_a_step_is_not_marked_done_in_the_bucket_when_one_of_its_files_did_not_arrive(
    machine: MachineMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = machine("one"), machine("two")
    mark_done(made(one, "distil-5", {"student/model.safetensors": "weights"}), {})
    send = RunStorage._upload

    def refuse_weights(storage: RunStorage, name: str) -> None:
        if name.endswith(".safetensors"):
            raise OSError("connection reset")
        send(storage, name)

    with monkeypatch.context() as patch, pytest.raises(StorageError, match="connection reset"):
        patch.setattr(RunStorage, "_upload", refuse_weights)
        one.publish("steps/distil-5")
    assert two.finished(["steps/distil-5"]) == []
    one.publish("steps/distil-5")
    assert two.finished(["steps/distil-5"]) == ["steps/distil-5"]


def test_a_continued_step_has_the_newest_checkpoint_and_longer_metrics(machine: MachineMaker) -> None:
    one, two = machine("one"), machine("two")
    folder = made(one, "distil-6", {"checkpoints/step-1/state.json": "1", "metrics.jsonl": "a\n"})
    one.publish("steps/distil-6")
    two.fetch(["steps/distil-6"])
    (folder / "checkpoints/step-1/state.json").unlink()
    made(one, "distil-6", {"checkpoints/step-2/state.json": "2", "metrics.jsonl": "a\nb\n"})
    one.publish("steps/distil-6")
    fresh = machine("three")
    fresh.fetch(["steps/distil-6"])
    assert [path.parent.name for path in (fresh.folder / "steps/distil-6/checkpoints").rglob("*.json")] == ["step-2"]
    two.fetch(["steps/distil-6"])
    assert (two.folder / "steps/distil-6/metrics.jsonl").read_text() == "a\nb\n"


def test_what_is_being_written_and_what_is_left_out_is_not_published(machine: MachineMaker) -> None:
    one, two = machine("one"), machine("two")
    for name in ("results.jsonl", ".report.html.tmp", "tune/tuner.pkl"):
        write_text(one.folder / "mine" / name, "text")
    one.publish("mine", without="tune")
    two.fetch(["mine"])
    assert [path.name for path in (two.folder / "mine").iterdir()] == ["results.jsonl"]


def test_places_are_uris_in_a_bucket_and_paths_in_a_folder(machine: MachineMaker, tmp_path: Path) -> None:
    away, here = machine("one"), open_storage(str(tmp_path / "runs"))
    model = away.place_of(away.folder / "steps/finetune-1/model")
    assert model.startswith("s3://bucket/runs/steps/finetune-1/model?endpoint_override=")
    assert away.name_of(model) == away.name_of(str(away.folder / "steps/finetune-1/model")) == "steps/finetune-1/model"
    assert here.place_of(here.folder / "steps") == str(tmp_path / "runs" / "steps")


def test_a_bucket_that_is_not_there_is_refused_before_work_starts(bucket: str) -> None:
    with pytest.raises(StorageError, match="cannot write to s3://nobody.*--storage"):
        open_storage(bucket.replace("//bucket", "//nobody"))
