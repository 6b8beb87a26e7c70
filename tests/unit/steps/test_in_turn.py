"""Runs that share a step take turns at it: the second takes what the first has made, or goes on where it was lost."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bistil_ray.locks import LOCK, locked
from bistil_ray.steps.context import Job
from bistil_ray.steps.run import run_in_turn
from bistil_ray.storage import mark_done

OTHER_RUN = """
import sys
from pathlib import Path
from bistil_ray.locks import locked
from bistil_ray.storage import mark_done

folder, finishes = Path(sys.argv[1]), sys.argv[2] == "finishes"
with locked(folder / ".lock"):
    print(flush=True)
    input()
    if finishes:
        mark_done(folder, {"made_by": "the other"})
"""


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job("distil", {}, {}, {}, tmp_path / "distil-1")


def own(job: Job) -> dict[str, Any]:
    """Run the step here."""
    mark_done(job.folder, result := {"made_by": "us"})
    return result


@pytest.mark.parametrize(("end", "maker"), [("finishes", "the other"), ("fails", "us")])
def test_a_step_that_another_process_runs_is_waited_for(job: Job, end: str, maker: str) -> None:
    command = [sys.executable, "-c", OTHER_RUN, job.folder, end]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdin is not None and other.stdout is not None
        other.stdout.readline()
        assert (job.folder / LOCK).exists()
        other.stdin.write(b"\n")
        other.stdin.close()
        assert run_in_turn(job, own) == {"made_by": maker}
    assert not (job.folder / LOCK).exists()


def test_a_finished_step_waits_for_nobody(job: Job) -> None:
    mark_done(job.folder, {"made_by": "an earlier run"})
    with locked(job.folder / LOCK):
        assert run_in_turn(job, own) == {"made_by": "an earlier run"}
