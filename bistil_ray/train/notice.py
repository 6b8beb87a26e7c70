"""A process that is told to end (SIGTERM: spot machines give half a minute) first saves what it has reached."""

from __future__ import annotations

import atexit
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

PATIENCE = 25.0
"""Seconds that the end of a process waits for the end of a training step and for a checkpoint."""
TERMINATED = 128 + signal.SIGTERM
"""Exit code of a process that ended on SIGTERM, as shells give it."""

_at_its_end = threading.Event()


def is_at_its_end() -> bool:
    """Tell whether the main thread has ended, so that only what was begun is still brought to its end."""
    return _at_its_end.is_set()


@contextmanager
def notice() -> Iterator[Callable[[], bool]]:
    """Give a function that tells whether the process is to end; whoever asks should then leave the block soon.

    In the main thread the signal itself is taken. In any other, as under Ray, the main thread ends the process at the
    signal in its own way, and that end waits, at most ``PATIENCE`` seconds, until the block is left.
    """
    told, left = threading.Event(), threading.Event()

    def tell(number: int, frame: FrameType | None) -> None:
        told.set()

    def tell_and_wait() -> None:
        _at_its_end.set()
        told.set()
        left.wait(PATIENCE)

    in_main_thread = threading.current_thread() is threading.main_thread()
    if in_main_thread:
        before = signal.signal(signal.SIGTERM, tell)
    else:
        atexit.register(tell_and_wait)
    try:
        yield told.is_set
    finally:
        left.set()
        if in_main_thread:
            signal.signal(signal.SIGTERM, before)
        else:
            atexit.unregister(tell_and_wait)
    if in_main_thread and told.is_set():  # nobody asked any more
        signal.raise_signal(signal.SIGTERM)
