"""Bad things that happen to a sweep: processes killed, files damaged, a disk that is full."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

DISK_SIZE = "64m"


def kill(sweep: subprocess.Popen[str]) -> None:
    """End a sweep without warning, and every process that it started."""
    below = psutil.Process(sweep.pid).children(recursive=True)
    os.kill(sweep.pid, signal.SIGKILL)
    for process in below:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    sweep.communicate(timeout=60)


def process_of(sweep: subprocess.Popen[str], title: str) -> psutil.Process | None:
    """Find the process whose title begins so, below a sweep's."""
    for process in psutil.Process(sweep.pid).children(recursive=True):
        try:
            if " ".join(process.cmdline()).startswith(title):
                return process
        except psutil.Error:
            continue
    return None


def cut_in_half(file: Path) -> None:
    """Leave the first half of a file."""
    os.truncate(file, file.stat().st_size // 2)


@contextmanager
def own_disk(folder: Path) -> Iterator[Path]:
    """Give ``folder`` as a disk of its own that can be frozen, a file of 1 GB beside it."""
    image = folder.with_suffix(".disk")
    folder.mkdir(parents=True, exist_ok=True)
    with image.open("wb") as file:
        file.truncate(1 << 30)
    subprocess.run(["mkfs.ext4", "-q", str(image)], check=True)
    subprocess.run(["mount", "-o", "loop", str(image), str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)
        image.unlink()


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """Give ``folder`` as a small disk of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_SIZE}", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(file: Path) -> None:
    """Write to ``file`` until the disk that it is on is full."""
    with file.open("wb", buffering=0) as stream:
        try:
            while True:
                stream.write(b"\0" * 65536)
        except OSError as problem:
            if "No space left" not in str(problem):
                raise
