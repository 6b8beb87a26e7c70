"""What a step takes of a GPU is measured from its own start; of a CPU nothing is."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from bistil_ray.steps.device_memory import forget_peak, peak_memory


def test_a_gpus_peak_is_that_of_this_step(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu, asked = torch.device("cuda"), list[tuple[str, Any]]()
    for name, answer in {
        "empty_cache": None,
        "reset_peak_memory_stats": None,
        "max_memory_reserved": 9,
        "get_device_properties": SimpleNamespace(total_memory=80),
    }.items():
        monkeypatch.setattr(
            torch.cuda, name, lambda *given, name=name, answer=answer: asked.append((name, *given)) or answer
        )
    forget_peak(gpu)
    assert asked == [("empty_cache",), ("reset_peak_memory_stats", gpu)]
    assert peak_memory(gpu) == {"device_memory": 9, "device_memory_total": 80}


def test_of_a_cpu_nothing_is_measured() -> None:
    forget_peak(torch.device("cpu"))
    assert peak_memory(torch.device("cpu")) == {}
