"""A sweep that is told to end (SIGTERM, as on a reclaimed spot machine) ends as on Ctrl-C: state kept, code 130."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def ending_as_ctrl_c() -> Iterator[None]:
    """Take SIGTERM for Ctrl-C while the block runs; training goes on from its last checkpoint when the run is."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _as_ctrl_c)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _as_ctrl_c(number: int, frame: FrameType | None) -> None:
    # A shell starts background jobs with SIGINT ignored: raising that signal would leave them deaf to SIGTERM as well.
    taken = signal.getsignal(signal.SIGINT)
    (taken if callable(taken) else signal.default_int_handler)(signal.SIGINT, frame)
