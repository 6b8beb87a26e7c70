"""What a step has freed is the machine's again before the next one begins, in the same process."""

from __future__ import annotations

import platform
from threading import Thread

import psutil
import pytest
import torch

from bistil_ray.train.allocator import let_go

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
