"""Told to end: a sweep by SIGTERM, or a node that Ray drains before it is taken back; steps that train save first.

The word to a sweep goes to its steps through the cluster's own store of keys, which every node reaches, whatever the
storage is. Their processes do not listen to signals themselves: a node's raylet that gets SIGTERM kills them at once.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import ray
from ray._private.state import state
from ray.experimental.internal_kv import _internal_kv_del, _internal_kv_exists, _internal_kv_put

from .feed import Unstored

GRACE_SECONDS = 25.0
"""How long steps are waited for: spot machines give half a minute."""


class Ending(Unstored):
    """The Ray Tune callback that ends a sweep on SIGTERM, or when it is told to, as Ctrl-C does but not at once.

    No step begins any more, and those that train save and end. What still runs after ``GRACE_SECONDS``, or when there
    is a second SIGTERM, is ended as by Ctrl-C.
    """

    def __init__(self, begin_no_more: Callable[[], None], clock: Callable[[], float] = time.monotonic) -> None:
        """Let no step begin by ``begin_no_more``; ``clock`` gives seconds."""
        self._begin_no_more, self._clock = begin_no_more, clock
        self._deadline: float | None = None
        self._passed_on = False

    @contextmanager
    def on_sigterm(self) -> Iterator[None]:
        """Listen to the signal while the block runs."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        _internal_kv_del(_key())  # an earlier sweep of this process may have been told
        before = signal.signal(signal.SIGTERM, self._hear)
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, before)

    def begin(self) -> None:
        """Begin to end, if that has not begun."""
        if self._deadline is None:
            self._deadline = self._clock() + GRACE_SECONDS

    def _hear(self, number: int, frame: FrameType | None) -> None:
        # No more than this: Ray may be in the middle of anything.
        if self._deadline is None:
            self.begin()
        else:
            _as_ctrl_c(frame)

    def on_step_begin(self, iteration: int, trials: list[Any], **info: Any) -> None:  # noqa: ANN401
        """Pass the word on, once, and wait no longer than the deadline."""
        if self._deadline is None:
            return
        if not self._passed_on:
            self._passed_on = True
            self._begin_no_more()
            _internal_kv_put(_key(), b"")
        if self._clock() > self._deadline:
            _as_ctrl_c(None)


def told_to_end() -> bool:
    """Tell, in any process of a sweep, whether it should save and end; this asks the cluster's head.

    So it is where the sweep was told to end, and where Ray drains this node: nothing begins there any more, and what
    runs has until the node is gone.
    """
    return bool(_internal_kv_exists(_key())) or ray.get_runtime_context().get_node_id() in state.get_draining_nodes()


def _key() -> str:
    """A name that only this process and those that Ray started for it come to."""
    return f"bistil-ray/told-to-end/{ray.get_runtime_context().get_job_id()}"


def _as_ctrl_c(frame: FrameType | None) -> None:
    # A shell starts background jobs with SIGINT ignored: raising that signal would leave them deaf to SIGTERM as well.
    taken = signal.getsignal(signal.SIGINT)
    (taken if callable(taken) else signal.default_int_handler)(signal.SIGINT, frame)
