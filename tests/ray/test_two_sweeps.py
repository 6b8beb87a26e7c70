"""Two sweeps of one name at the same time: the second is refused in one line, and changes nothing."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from bistil_ray.config_sources import load_config
from bistil_ray.distributed.progress import Board
from bistil_ray.distributed.sweep import run_sweep
from bistil_ray.errors import StorageError
from bistil_ray.planning.plan import Plan

FIRST_SWEEP = """
import sys
from pathlib import Path
from bistil_ray.locks import LOCK, locked

with locked(Path(sys.argv[1]) / LOCK):
    print(flush=True)
    input()
"""


def test_the_second_is_told_who_carries_the_run_out_and_touches_nothing(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"langs": ["sw"], "teachers": ["t"], "corpora": "c", "task_data": "n"}
    config, run = load_config(defaults=settings | {"storage": str(tmp_path)}), tmp_path / "mine"

    def sweep() -> None:
        run_sweep(config, Plan(()), run, Board(Console(file=io.StringIO())))

    command = [sys.executable, "-c", FIRST_SWEEP, run]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as first:
        assert first.stdout is not None
        first.stdout.readline()
        before = {path: path.stat().st_mtime_ns for path in run.iterdir()}
        with pytest.raises(StorageError, match=rf"^run 'mine' is being carried out by process {first.pid} on .* since"):
            sweep()
        assert {path: path.stat().st_mtime_ns for path in run.iterdir()} == before
        first.kill()
    sweep()  # the first is gone, however it went
    assert (run / "status.json").exists() and (run / "config.yaml").exists()
