"""A process that is told to end (SIGTERM: spot machines give half a minute) first saves what it has reached."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

TERMINATED = 128 + signal.SIGTERM
"""Exit code of a process that ended on SIGTERM, as shells give it."""


@contextmanager
def notice() -> Iterator[Callable[[], bool]]:
    """Give a function that tells whether the process is to end; whoever asks should then leave the block soon.

    Only where training runs in the main thread, as in single commands. Ray ends its processes in its own way: steps of
    a sweep are told through the cluster (``distributed/ending.py``).
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    told = threading.Event()

    def tell(number: int, frame: FrameType | None) -> None:
        told.set()

    before = signal.signal(signal.SIGTERM, tell)
    try:
        yield told.is_set
    finally:
        signal.signal(signal.SIGTERM, before)
    if told.is_set():  # nobody asked any more
        signal.raise_signal(signal.SIGTERM)
