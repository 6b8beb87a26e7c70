"""Records made up for tests."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bistil_ray.results.records import Record


@pytest.fixture(scope="session")
def make_record() -> Callable[..., Record]:
    """A function making a record: ``make_record("finetune-1", lang="yo", score=0.5)``."""

    def make(step: str, **fields: object) -> Record:
        values = {
            "step": step, "kind": "finetune", "recipe": "bistil", "source": "en", "lang": "sw", "teacher": "big",
            "layers": 3, "hidden": 48, "density": 0.08, "task": "ner", "seed": 0, "split": "test", "metric": "f1",
            "score": 0.6, "params": 1000, "bytes": 4000, "vocab_size": 300, "model_dir": "model",
            "time": "2026-01-01T00:00:00Z",
        }  # fmt: skip
        return Record.model_validate(values | fields)

    return make
