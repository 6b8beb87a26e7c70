"""Costs are those of the model that lies there, whatever form it has."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bistil_ray.export import bench
from bistil_ray.export.heads import PARSER, Head
from bistil_ray.export.package import Subject, load, package
from bistil_ray.models.parser import BiaffineParser


def test_every_head_is_measured(headed: Callable[[Head], Path], head: Head) -> None:
    folder = headed(head)
    model = load(head, folder)
    cost = bench.measure_here("mine", folder, seconds=0)
    assert (cost.model, cost.form) == ("mine", "PyTorch")
    assert cost.params == sum(parameter.numel() for parameter in model.parameters())
    assert cost.bytes == (folder / "model.safetensors").stat().st_size
    assert min(cost.flops_per_token, cost.latency_ms, cost.tokens_per_second) > 0
    assert isinstance(model, BiaffineParser) == (head == PARSER)


@pytest.mark.slow
def test_an_exported_folder_costs_the_same_work_and_its_own_bytes(tagger: Subject, tmp_path: Path) -> None:
    out = tmp_path / "out"
    forms = package(tagger, "onnx-int8", out, [], lambda forms: "")
    before, after = bench.measure_here("a", tagger.folder, 0), bench.cost_of("b", out, 0)
    assert (after.params, after.flops_per_token) == (before.params, before.flops_per_token)
    assert (after.form, after.bytes) == ("model.int8.onnx", forms[-1].bytes)
    assert after.memory_bytes is None or after.memory_bytes > 0
    assert after.gpu_latency_ms is None


def test_memory_is_what_a_fresh_process_took(headed: Callable[[Head], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    peaks = iter([1_000, 5_000])
    monkeypatch.setattr(bench, "_peak_memory", lambda: next(peaks))
    assert bench.measure_here("mine", headed(PARSER), 0).memory_bytes == 4_000
    monkeypatch.setattr(bench, "_peak_memory", lambda: None)
    assert bench.measure_here("mine", headed(PARSER), 0).memory_bytes is None
