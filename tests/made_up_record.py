"""A record of a made-up student, for what reads records: tables, comparisons, cards."""

from __future__ import annotations

from bistil_ray.results.records import Record


def make_record(step: str, **fields: object) -> Record:
    """Make a record of which a test says only what it is about: ``make_record("finetune-1", lang="yo", score=0.5)``."""
    values = {
        "step": step, "kind": "finetune", "recipe": "bistil", "source": "en", "lang": "sw", "teacher": "models/big",
        "layers": 3, "hidden": 48, "density": 0.08, "task": "ner", "seed": 0, "split": "test", "metric": "f1",
        "score": 0.6, "validation_score": 0.7, "params": 1_000_000, "bytes": 4_000_000, "vocab_size": 300,
        "model_dir": "runs/steps/finetune-1/model", "time": "2026-01-01T00:00:00Z",
    }  # fmt: skip
    return Record.model_validate(values | fields)
