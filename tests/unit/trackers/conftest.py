"""A run with two finished steps, whose files trackers are told of."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import pytest

from bistil_ray.planning.step import Step


class ARun(NamedTuple):
    """The folder of a run, and the steps of it that have finished."""

    folder: Path
    distil: Step
    finetune: Step


RECORD = {
    "step": "finetune-f00dface", "kind": "finetune", "recipe": "bistil", "source": "en", "lang": "sw",
    "teacher": "big", "layers": 3, "hidden": 48, "density": 0.08, "task": "ner", "seed": 0, "split": "test",
    "metric": "f1", "score": 0.5, "validation_score": 0.6, "retention": 0.8, "params": 1000, "bytes": 4000,
    "vocab_size": 300, "latency_ms": None, "model_dir": "model", "time": "2026-01-01T00:00:00Z",
}  # fmt: skip


@pytest.fixture
def finished_run(tmp_path: Path) -> ARun:
    about = {"lang": "sw", "teacher": "big", "layers": 3, "recipe": "bistil", "seed": 0}
    distil = Step("distil", {"lr": 0.1, "names": ["a"]}, {}, {}, "beefcafe", about)
    finetune = Step("finetune", {"lr": 0.2, "none": None}, {}, {}, "f00dface", {**about, "density": 0.08})
    times = {"started": 100.0, "finished": 160.0}
    _finish(
        tmp_path / "steps" / distil.key,
        [{"time": 101.0 + n, "step": 10 * n, "tokens": 100 * n, "loss": 3 / n} for n in (1, 2, 3)]
        + [{"time": 105.0, "step": 30, "tokens": 300, "bits_per_character": 1.5, "lang": "sw"}],
        {"tokens": 300, "bits_per_character": {"en": 1.25, "sw": 1.5}, "student": "student", **times},
    )
    _finish(
        tmp_path / "steps" / finetune.key,
        [
            {"time": 1.0, "phase": "dense", "step": 5, "tokens": 50, "loss": 2.0},
            {"time": 2.0, "phase": "dense", "step": 10, "tokens": 100, "loss": 1.0},
            {"time": 3.0, "phase": "dense", "step": 10, "tokens": 100, "loss": 1.5},
            {"time": 4.0, "phase": "sparse", "step": 4, "tokens": 40, "loss": 0.5},
            {"time": 5.0, "step": 4, "tokens": 140, "score": 0.5},
        ],
        {"record": RECORD, "bits_per_character": {"en": 1.25}, **times},
    )
    folder = tmp_path / "mine"
    folder.mkdir()
    return ARun(folder, distil, finetune)


def _finish(folder: Path, metrics: list[dict[str, object]], result: dict[str, object]) -> None:
    folder.mkdir(parents=True)
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in metrics) + '{"step": 99, "lo')
    (folder / "result.json").write_text(json.dumps(result))
    (folder / "DONE").touch()
