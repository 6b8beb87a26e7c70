"""SIGTERM ends a sweep as Ctrl-C does, and means what it did before when the sweep is over."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from types import FrameType

import pytest

from bistil_ray.distributed.ending import ending_as_ctrl_c


@pytest.mark.parametrize("ctrl_c", [signal.default_int_handler, signal.SIG_IGN], ids=["heard", "ignored"])
def test_sigterm_is_taken_for_ctrl_c_even_in_a_background_job_that_ignores_ctrl_c(
    ctrl_c: Callable[[int, FrameType | None], object] | signal.Handlers,
) -> None:
    before, sigint = signal.getsignal(signal.SIGTERM), signal.signal(signal.SIGINT, ctrl_c)
    try:
        with pytest.raises(KeyboardInterrupt), ending_as_ctrl_c():
            os.kill(os.getpid(), signal.SIGTERM)
    finally:
        signal.signal(signal.SIGINT, sigint)
    assert signal.getsignal(signal.SIGTERM) == before
