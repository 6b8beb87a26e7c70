"""SIGTERM lets the steps of a sweep save, then ends it as Ctrl-C does; afterwards it means what it did before."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from types import FrameType

import pytest

from bistil_ray.distributed import ending
from bistil_ray.distributed.ending import GRACE_SECONDS, Ending


class Sweep:
    """A sweep that counts how often it is told something, and whose clock is set by hand."""

    def __init__(self) -> None:
        self.closed, self.now, self.words = 0, 100.0, list[str]()
        self.ending = Ending(self.close, clock=lambda: self.now)

    def close(self) -> None:
        self.closed += 1

    def turn(self) -> None:
        self.ending.on_step_begin(0, [])


@pytest.fixture
def sweep(monkeypatch: pytest.MonkeyPatch) -> Sweep:
    made = Sweep()
    monkeypatch.setattr(ending, "_key", lambda: "word")
    monkeypatch.setattr(ending, "_internal_kv_del", lambda key: None)
    monkeypatch.setattr(ending, "_internal_kv_put", lambda key, value: made.words.append(key))
    return made


def terminate() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def test_the_word_is_passed_on_once_and_steps_are_waited_for(sweep: Sweep) -> None:
    before = signal.getsignal(signal.SIGTERM)
    with sweep.ending.on_sigterm():
        sweep.turn()
        assert (sweep.closed, sweep.words) == (0, [])
        terminate()
        sweep.turn()
        sweep.now += GRACE_SECONDS
        sweep.turn()
    assert (sweep.closed, sweep.words) == (1, ["word"])
    assert signal.getsignal(signal.SIGTERM) == before


@pytest.mark.parametrize("ctrl_c", [signal.default_int_handler, signal.SIG_IGN], ids=["heard", "ignored"])
@pytest.mark.parametrize("why", ["too late", "told again"])
def test_it_ends_as_by_ctrl_c_even_in_a_background_job_that_ignores_ctrl_c(
    sweep: Sweep, why: str, ctrl_c: Callable[[int, FrameType | None], object] | signal.Handlers
) -> None:
    sigint = signal.signal(signal.SIGINT, ctrl_c)
    try:
        with sweep.ending.on_sigterm():
            terminate()
            with pytest.raises(KeyboardInterrupt):
                if why == "told again":
                    terminate()
                sweep.now += GRACE_SECONDS + 1
                sweep.turn()
    finally:
        signal.signal(signal.SIGINT, sigint)
