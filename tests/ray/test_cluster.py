"""A cluster that a sweep starts for itself."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

SCRIPT = """
import os, signal
import ray
from bistil_ray.distributed.cluster import connected
from bistil_ray.settings import Execution

heard = []
with connected(Execution()):
    signal.signal(signal.SIGTERM, lambda number, frame: heard.append(number))
    os.killpg(os.getpgrp(), signal.SIGTERM)
    print(len(heard), ray.get(ray.remote(num_cpus=0)(lambda: "alive").remote()))
"""


def test_a_signal_to_the_whole_process_group_reaches_the_sweep_and_not_its_cluster() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=300, start_new_session=True
    )
    assert ended.stdout == "1 alive\n", ended.stderr


def test_a_path_too_long_for_ray_is_told_with_what_to_set(tmp_path: Path) -> None:
    place = os.environ | {"RAY_TMPDIR": str(tmp_path / ("a" * 100))}
    ended = subprocess.run([sys.executable, "-c", SCRIPT], env=place, capture_output=True, text=True, timeout=300)
    assert "ClusterError" in ended.stderr and "name a folder with a shorter path in RAY_TMPDIR" in ended.stderr
