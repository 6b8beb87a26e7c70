"""A record in a run's table has the names that this run has for its teacher and its recipe."""

from __future__ import annotations

from pathlib import Path

from bistil_ray.distributed.sweep import records_in
from bistil_ray.planning.step import Step
from bistil_ray.run_storage import RunStorage
from tests.made_up_record import make_record


def test_a_step_that_two_runs_share_has_in_each_the_names_of_that_run(tmp_path: Path) -> None:
    made = make_record("finetune-1f", recipe="bistil", teacher="their-name", score=0.5).model_dump()
    about = {"recipe": "bistil+", "lang": "sw", "teacher": "our-name"}
    step = Step("finetune", {}, {}, {}, "1f", about)
    (found,) = records_in({"record": made}, step, RunStorage(str(tmp_path), tmp_path))
    assert (found.recipe, found.teacher, found.score) == ("bistil+", "our-name", 0.5)
