"""A sweep tells its trackers of every step that learned or scored something."""

from __future__ import annotations

from bistil_ray.config import RunConfig
from bistil_ray.distributed.sweep import Outcome
from bistil_ray.planning.plan import Plan


def test_tensorboard_has_a_folder_for_each_step_but_the_packs(swept: tuple[RunConfig, Plan, Outcome]) -> None:
    _, plan, outcome = swept
    told = (outcome.run / "trackers" / "tensorboard.txt").read_text().split()
    assert sorted(told) == sorted(step.key for step in plan if step.kind != "pack")
    assert len(list((outcome.run / "tensorboard").glob("*/events.out.tfevents.*"))) == len(told)
