"""A sweep that is told to end (SIGTERM, as when a spot machine is reclaimed) lets its training processes save first."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TypeVar

import psutil

from ..train.notice import PATIENCE, is_at_its_end

Told = TypeVar("Told")
LOOK_SECONDS = 0.1

TRAINING = ("ray::ImplicitFunc", "ray::RayTrainWorker")
"""How the titles of processes begin that run a trial, or are workers of one."""


@contextmanager
def saving_when_told_to_end() -> Iterator[None]:
    """On SIGTERM tell the training processes of this machine's own cluster, wait for them, and end as Ctrl-C does.

    Ray Tune, whose loop stands still meanwhile, sees no process fail; at most ``PATIENCE`` seconds are waited.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def given_up_at_the_end(tell: Callable[[Told], None]) -> Callable[[Told], None]:
    """Give a ``tell`` that returns as soon as its process is at its end, when nobody takes what is told any more.

    Ray Tune's report waits until the driver wants the next one, which it never does from a process that has ended:
    training that waited with it could not save.
    """

    def forward(message: Told) -> None:
        raised: list[BaseException] = []
        done = threading.Event()

        def work() -> None:
            try:
                tell(message)
            except BaseException as problem:  # SystemExit too: so Tune stops a trial early
                raised.append(problem)
            done.set()

        if not is_at_its_end():
            threading.Thread(target=work, daemon=True).start()
            while not done.wait(LOOK_SECONDS) and not is_at_its_end():
                pass
        if raised:
            raise raised[0]

    return forward


def _end(number: int, frame: FrameType | None) -> None:
    training = [child for child in psutil.Process().children(recursive=True) if _trains(child)]
    for process in training:
        process.terminate()
    psutil.wait_procs(training, timeout=PATIENCE)
    signal.raise_signal(signal.SIGINT)


def _trains(process: psutil.Process) -> bool:
    try:
        return " ".join(process.cmdline()).startswith(TRAINING)
    except psutil.Error:
        return False
