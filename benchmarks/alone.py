"""A measurement in a process of its own, and the most memory that a process has held.

Memory is measured where nothing was done before: what Python, torch and allocators have once taken they seldom give
back, so a second measurement in the same process would find what the first one left.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar, TypeVarTuple

Given = TypeVarTuple("Given")
Found = TypeVar("Found")


def run_alone(function: Callable[[*Given], Found], *given: *Given) -> Found:
    """Give what ``function`` gives for ``given``, run in a fresh process that ends afterwards.

    It is spawned, since a fork would begin with this process's memory. What ``function`` raises is raised here, and so
    is an error where the process is killed, say for want of memory; ``multiprocessing.Pool`` would wait for ever.
    """
    with ProcessPoolExecutor(1, get_context("spawn")) as alone:
        return alone.submit(function, *given).result()


def peak_megabytes() -> float:
    """Give the most resident memory that this process has held so far, in megabytes of 2**20 bytes.

    Linux tells it in ``/proc``. ``getrusage`` will not do: to a process that was just started it gives the peak of the
    one that started it, where that was higher.
    """
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024
