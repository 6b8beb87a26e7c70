"""A cluster that a sweep starts for itself."""

from __future__ import annotations

import subprocess
import sys

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
