"""What a step of the optimiser frees the next one gets; what a step of the plan has freed is the machine's again."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from threading import Thread

import psutil
import pytest
import torch

from bistil_ray.train.allocator import ENVIRONMENT, let_go

MEGABYTES = 100


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries have no such call")
def test_what_a_thread_has_freed_goes_back() -> None:
    kept: list[torch.Tensor] = []

    def train() -> None:
        """Leave small things between large ones that are freed, as a training does."""
        freed = []
        for _ in range(16 * MEGABYTES):
            freed.append(torch.ones(2**14))  # 64 KB
            kept.append(torch.ones(64))

    thread = Thread(target=train)
    thread.start()
    thread.join()
    before = psutil.Process().memory_info().rss
    let_go()
    assert before - psutil.Process().memory_info().rss > MEGABYTES * 2**20 / 2


STEPS = """
import resource, sys, threading
import torch
from bistil_ray.train.allocator import keep_freed

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def step():  # what a step allocates, in sizes that glibc takes from the system
    return [torch.ones(size * 2**18) for size in (8, 24, 72)]

def train():
    for _ in range(20):  # until the heap has found its size
        step()
    before = faults()
    for _ in range(10):
        step()
    print(faults() - before)

if sys.argv[1] == "thread":
    thread = threading.Thread(target=train)
    thread.start()
    thread.join()
else:
    keep_freed()
    train()
"""
PAGES = 10 * 104 * 2**20 // 4096
"""Of what ten steps allocate."""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries have no such setting")
@pytest.mark.parametrize(("where", "environment"), [("first thread", {}), ("thread", ENVIRONMENT)])
def test_steps_get_back_the_memory_that_the_step_before_freed(where: str, environment: dict[str, str]) -> None:
    plain = {name: value for name, value in os.environ.items() if name not in ENVIRONMENT}
    asked = [sys.executable, "-c", STEPS, where]
    answer = subprocess.run(asked, env=plain | environment, capture_output=True, text=True, check=True)
    assert int(answer.stdout) < PAGES / 10
