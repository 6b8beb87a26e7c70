"""SIGTERM ends a sweep as Ctrl-C does, and means what it did before when the sweep is over."""

from __future__ import annotations

import os
import signal

import pytest

from bistil_ray.distributed.ending import ending_as_ctrl_c


def test_sigterm_is_taken_for_ctrl_c_while_a_sweep_runs() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), ending_as_ctrl_c():
        os.kill(os.getpid(), signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) == before
