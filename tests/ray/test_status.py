"""A run's status file takes little of the time, however many steps there are, and misses nothing in the end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bistil_ray.distributed import status as module
from bistil_ray.distributed.status import StatusFile


class Clock:
    """Time that passes when it is told to, and with every writing."""

    def __init__(self) -> None:
        self.now, self.writings = 0.0, 0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock, write = Clock(), module.write_json

    def slow(path: Path, value: object) -> None:
        write(path, value)
        clock.now += 0.5
        clock.writings += 1

    monkeypatch.setattr(module, "write_json", slow)
    return clock


def test_writing_takes_a_twentieth_of_the_time(tmp_path: Path, clock: Clock) -> None:
    status = StatusFile(tmp_path / "status.json", ["a", "b"], clock)
    while clock.now < 100:
        status.change("a", "running")
        status.write_if_due()
        clock.now += 0.01
    assert 0 < clock.writings * 0.5 <= 100 / 20 + 0.5


def test_what_has_not_changed_is_not_written_again(tmp_path: Path, clock: Clock) -> None:
    status = StatusFile(tmp_path / "status.json", ["a"], clock)
    for _ in range(50):
        status.write_if_due()
        clock.now += 10
    assert clock.writings == 1


def test_the_last_change_is_not_lost(tmp_path: Path, clock: Clock) -> None:
    status = StatusFile(tmp_path / "status.json", ["a", "b"], clock)
    status.write_if_due()
    status.change("b", "failed", "no room")
    status.write_if_due()
    assert json.loads((tmp_path / "status.json").read_text())["b"] == {"state": "waiting", "reason": ""}
    status.write()
    assert json.loads((tmp_path / "status.json").read_text()) == {
        "a": {"state": "waiting", "reason": ""},
        "b": {"state": "failed", "reason": "no room"},
    }
