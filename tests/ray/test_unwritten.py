"""A sweep that cannot write down what a step found ends and says so; the same command brings it to its end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bistil_ray.config import RunConfig
from bistil_ray.distributed.sweep import Outcome
from bistil_ray.errors import StorageError
from bistil_ray.planning.plan import Plan
from bistil_ray.results.records import RecordFile
from tests.ray.told_steps import end_at_once, step


def test_a_sweep_that_cannot_write_a_record_ends_with_the_reason_and_can_be_continued(
    cluster: None,
    plan_of: Callable[..., tuple[RunConfig, Plan]],
    carry_out: Callable[..., Outcome],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Tune swallows what a searcher raises, and the steps that wait for this one would wait for ever."""
    config, _ = plan_of(storage=str(tmp_path))
    first = step("pack", "first")
    plan = Plan((first, step("distil", "second", pack=first)))
    append = RecordFile.append

    def once_full(file: RecordFile, *records: object) -> int:
        if (tmp_path / "steps" / first.key / "DONE").exists():
            raise StorageError("no space left in the run's folder")
        return append(file)

    with monkeypatch.context() as patch:
        patch.setattr(RecordFile, "append", once_full)
        with pytest.raises(StorageError, match="no space left in the run's folder"):
            carry_out(config, plan, "run", body=end_at_once)
    assert {state for state, _ in carry_out(config, plan, "run", body=end_at_once).states.values()} == {"done"}


def test_a_best_student_whose_data_are_gone_goes_too(
    cluster: None, plan_of: Callable[..., tuple[RunConfig, Plan]], carry_out: Callable[..., Outcome], tmp_path: Path
) -> None:
    config, _ = plan_of(storage=str(tmp_path), langs=["sw"])
    for old in ("sw", "yo"):
        (tmp_path / "run" / "best" / old).mkdir(parents=True)
    carry_out(config, Plan((step("pack", "new"),)), "run", body=end_at_once)
    assert [folder.name for folder in (tmp_path / "run" / "best").iterdir()] == ["yo"], "which this run does not make"
