"""A process that is told to end saves first, and its phase goes on from there."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from bistil_ray.tasks.registry import TASKS
from bistil_ray.train.loop import Phase, Progress, run_phase
from bistil_ray.train.notice import TERMINATED, notice
from bistil_ray.train.objectives import LabelLearning
from bistil_ray.train.state import checkpoints

PHASE = Phase(steps=9, lr=0.05, precision="fp32", seed=3)


def test_the_signal_ends_a_phase_with_a_checkpoint_from_which_it_goes_on(
    tmp_path: Path, make_toy: Callable, toy_batches: Callable
) -> None:
    def tell(progress: Progress) -> None:
        if progress.step == 3:
            os.kill(os.getpid(), signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as ended:
        goal = LabelLearning(make_toy(), TASKS["pos"])
        run_phase(goal, PHASE, toy_batches, checkpoints=tmp_path, after_step=tell)
    assert ended.value.code == TERMINATED == 143
    assert signal.getsignal(signal.SIGTERM) == before
    (saved,) = checkpoints(tmp_path)
    assert saved.name in ("step-000000003", "step-000000004")

    steps: list[int] = []
    finals = []
    for folder in (tmp_path, None):
        model = make_toy()
        goal = LabelLearning(model, TASKS["pos"])
        run_phase(goal, PHASE, toy_batches, checkpoints=folder, after_step=lambda now: steps.append(now.step))
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
