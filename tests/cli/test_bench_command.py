"""``bistil-ray bench`` puts models side by side."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from bistil_ray.export.bench import Cost

Bistil = Callable[..., tuple[int, str, str]]
Refused = Callable[..., str]


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Costs that no machine was asked for."""

    def cost_of(name: str, folder: Path, seconds: float) -> Cost:
        assert folder.is_dir()
        return Cost(name, "PyTorch", 66_000_000, 264_000_000, 8.5e7, 12.5, 1234.5, None, None)

    monkeypatch.setattr("bistil_ray.export.bench.cost_of", cost_of)


def test_the_table_has_a_line_for_each_model(
    bistil: Bistil, bert_folder: Path, xlmr_folder: Path, measured: None
) -> None:
    code, out, err = bistil("bench", str(bert_folder), str(xlmr_folder))
    lines = out.splitlines()
    assert code == 0 and len(lines) == 3
    assert [line.split()[0] for line in lines[1:]] == [str(bert_folder), str(xlmr_folder)]
    for cell in ("66.0 M", "264.0 MB", "85.0 M", "12.5 ms", "1,234 tokens/s"):
        assert cell in lines[1]


def test_json_is_nothing_but_data(bistil: Bistil, bert_folder: Path, measured: None) -> None:
    code, out, _ = bistil("bench", str(bert_folder), "--json")
    (cost,) = json.loads(out)
    assert code == 0 and cost["params"] == 66_000_000 and cost["gpu_latency_ms"] is None


def test_what_is_no_model_is_refused_before_any_is_measured(
    refused: Refused, bert_folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    assert "no such folder" in refused(command=("bench", str(bert_folder), str(tmp_path / "nowhere")))
    assert "not a model folder" in refused(command=("bench", str(bert_folder), str(tmp_path / "empty")))
