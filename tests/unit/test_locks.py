"""A lock keeps others out while its holder lives, says who that is, and is gone however the holder ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from bistil_ray import locks
from bistil_ray.locks import BEAT_SECONDS, LOCK, STALE_SECONDS, WATCH_SECONDS, Held, locked, locked_in_turn

HOLD = """
import sys
from pathlib import Path
from bistil_ray.locks import locked

with locked(Path(sys.argv[1])):
    print(flush=True)
    input()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "step" / LOCK


def hold_elsewhere(path: Path) -> subprocess.Popen[bytes]:
    """Another process that has the lock."""
    holder = subprocess.Popen([sys.executable, "-c", HOLD, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert holder.stdout is not None
    holder.stdout.readline()
    return holder


def left_by_another_machine(path: Path, seconds_ago: float) -> None:
    path.parent.mkdir()
    path.write_text(json.dumps({"host": "elsewhere", "pid": 7, "since": "2026-01-01T00:00:00+00:00"}))
    touched = path.stat().st_mtime - seconds_ago
    os.utime(path, (touched, touched))


def test_a_second_holder_is_refused_and_told_who_the_first_is(path: Path) -> None:
    holder = hold_elsewhere(path)
    with pytest.raises(Held, match=rf"^process {holder.pid} on \S+ since 2\d\d\d-"), locked(path):
        pass
    holder.communicate(b"\n")
    with locked(path):
        pass


def test_a_killed_holder_holds_nothing(path: Path) -> None:
    holder = hold_elsewhere(path)
    os.kill(holder.pid, signal.SIGKILL)
    holder.communicate()
    assert path.exists(), "it had no time to tidy up"
    with locked(path):
        pass


def test_nothing_is_left_behind(path: Path) -> None:
    with locked(path), pytest.raises(Held, match="since"), locked(path):
        pass
    assert list(path.parent.iterdir()) == []


def test_the_lock_is_let_go_when_the_block_fails(path: Path) -> None:
    with pytest.raises(ValueError, match="oh"), locked(path):
        raise ValueError("oh")
    with locked(path):
        pass


def test_what_another_machine_touched_of_late_is_held_though_no_lock_shows_it(path: Path) -> None:
    left_by_another_machine(path, seconds_ago=1)
    with pytest.raises(Held, match="^process 7 on elsewhere since 2026-01-01"), locked(path):
        pass


JUMPS = pytest.mark.parametrize("seconds_ago", [STALE_SECONDS + 1, -3600], ids=["forward", "back"])
"""How long ago a lock seems to have been touched whose file system's clock was set."""


@JUMPS
def test_what_another_machine_has_left_is_free(path: Path, monkeypatch: pytest.MonkeyPatch, seconds_ago: float) -> None:
    left_by_another_machine(path, seconds_ago)
    monkeypatch.setattr(locks.time, "sleep", lambda seconds: None)
    with locked(path):
        assert json.loads(path.read_text())["pid"] == os.getpid()


@JUMPS
@pytest.mark.parametrize("sign", [os.utime, Path.unlink], ids=["touched", "let go"])
def test_a_clock_that_was_set_frees_nothing_that_is_held(
    path: Path, monkeypatch: pytest.MonkeyPatch, seconds_ago: float, sign: Callable[[Path], None]
) -> None:
    left_by_another_machine(path, seconds_ago)
    watched: list[float] = []

    def watch(seconds: float) -> None:
        watched.append(seconds)
        sign(path)

    monkeypatch.setattr(locks.time, "sleep", watch)
    with pytest.raises(Held), locked(path):
        pass
    assert watched == [WATCH_SECONDS]
    assert WATCH_SECONDS > 2 * BEAT_SECONDS


def test_others_wait_for_their_turn_and_never_overlap(path: Path, tmp_path: Path) -> None:
    rounds = []

    def work() -> None:
        for _ in range(5):
            with locked_in_turn(path, seconds=0.001):
                (tmp_path / "inside").mkdir()  # fails where somebody is inside
                (tmp_path / "inside").rmdir()
                rounds.append(1)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(rounds) == 20
