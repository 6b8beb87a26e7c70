"""One at a time: a lock file that keeps others out, and tells them who is in.

Two things keep others out. The lock itself is the operating system's (``flock``): exact wherever the file system passes
it on (local disks, NFS 4, most cluster file systems), and gone when its holder ends, however it ends. For mounts that
keep such locks to each machine, the holder also touches the file every few seconds: one that another machine touched
within the last minute is held. Its age is taken by the file system's clock, so that machines need not agree on the
time; and since that may be set, one that looks old, or as if from the future, is watched for a while before it is taken
for lost. Not covered: two machines that come within the same moment, on a mount that does not pass locks on.
"""

from __future__ import annotations

import json
import os
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

LOCK = ".lock"
BEAT_SECONDS, STALE_SECONDS, WATCH_SECONDS = 10.0, 60.0, 25.0
"""How often a lock's holder touches it; how long after that another machine takes its holder for lost, and how long it
watches such a lock first."""


class Held(Exception):  # noqa: N818
    """Another process has the lock; the message says which, and since when."""


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock file ``path`` while the block runs; raises Held at once where another process does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path, timeout=0, thread_local=False)
    try:
        with lock:
            if _held_elsewhere(path):
                raise Held(_holder(path))
            _sign(path)
            over = threading.Event()
            threading.Thread(target=_beat, args=(path, over), daemon=True).start()
            try:
                yield
            finally:
                over.set()
                path.unlink(missing_ok=True)  # before it is let go: what a killed holder leaves is then told apart
    except Timeout as problem:
        raise Held(_holder(path)) from problem


@contextmanager
def locked_in_turn(path: Path, seconds: float = 1.0) -> Iterator[None]:
    """Hold the lock file ``path`` while the block runs, as soon as nobody else does; ask every ``seconds``."""
    with ExitStack() as mine:
        while True:
            try:
                mine.enter_context(locked(path))
                break
            except Held:
                time.sleep(seconds)
        yield


def _sign(path: Path) -> None:
    since = datetime.now(UTC).isoformat(timespec="seconds")
    path.write_text(json.dumps({"host": socket.gethostname(), "pid": os.getpid(), "since": since}), encoding="utf-8")


def _beat(path: Path, over: threading.Event) -> None:
    while not over.wait(BEAT_SECONDS):
        with suppress(OSError):  # a mount that is away for a moment
            os.utime(path)


def _held_elsewhere(path: Path) -> bool:
    """Tell whether another machine touched the lock file of late, or does so while it is watched."""
    signed = _signature(path)
    if not signed or signed.get("host") == socket.gethostname():
        return False
    try:
        if 0 <= _age(path) < STALE_SECONDS:
            return True
        touched = path.stat().st_mtime
        time.sleep(WATCH_SECONDS)
        return path.stat().st_mtime != touched
    except FileNotFoundError:  # let go in this moment: what this process has locked is no file any more
        return True


def _signature(path: Path) -> dict[str, Any]:
    try:
        signed = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # nobody has signed it, or is about to
        return {}
    return signed if isinstance(signed, dict) else {}


def _age(path: Path) -> float:
    with tempfile.TemporaryFile(dir=path.parent) as now:
        return os.fstat(now.fileno()).st_mtime - path.stat().st_mtime


def _holder(path: Path) -> str:
    signed = _signature(path)
    return "process {pid} on {host} since {since}".format(**signed) if signed else "another process"
