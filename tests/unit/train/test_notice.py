"""A process that is told to end saves first, and its phase goes on from there."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from bistil_ray.tasks.registry import TASKS
from bistil_ray.train.loop import run_phase
from bistil_ray.train.notice import TERMINATED, notice
from bistil_ray.train.objectives import LabelLearning
from bistil_ray.train.phase import Phase, Progress, Surroundings
from bistil_ray.train.state import checkpoints

PHASE = Phase(steps=9, lr=0.05, precision="fp32", seed=3)


@pytest.mark.parametrize("word", ["signal", "is_to_end"])
def test_a_phase_that_is_told_to_end_saves_and_goes_on_from_there_bit_for_bit(
    tmp_path: Path, make_toy: Callable, toy_batches: Callable, word: str
) -> None:
    reached: list[int] = []

    def tell(progress: Progress) -> None:
        reached.append(progress.step)
        if progress.step == 3 and word == "signal":
            os.kill(os.getpid(), signal.SIGTERM)

    def is_to_end() -> bool:
        return word == "is_to_end" and reached[-1:] == [3]

    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as ended:
        goal = LabelLearning(make_toy(), TASKS["pos"])
        run_phase(goal, PHASE, toy_batches, Surroundings(tmp_path, is_to_end=is_to_end), after_step=tell)
    assert ended.value.code == TERMINATED == 143
    assert signal.getsignal(signal.SIGTERM) == before
    (saved,) = checkpoints(tmp_path)
    assert saved.name in ("step-000000003", "step-000000004")

    steps: list[int] = []
    finals = []
    for folder in (tmp_path, None):
        model = make_toy()
        goal = LabelLearning(model, TASKS["pos"])
        run_phase(goal, PHASE, toy_batches, Surroundings(folder), after_step=lambda now: steps.append(now.step))
        finals.append(list(model.parameters()))
    assert steps[:3] in ([4, 5, 6], [5, 6, 7])
    assert all(torch.equal(one, other) for one, other in zip(*finals, strict=True))


def test_a_signal_that_nobody_asked_for_any_more_is_not_lost() -> None:
    got: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: got.append(number))
    try:
        with notice():
            os.kill(os.getpid(), signal.SIGTERM)
            assert not got
        assert got == [signal.SIGTERM]
    finally:
        signal.signal(signal.SIGTERM, before)
