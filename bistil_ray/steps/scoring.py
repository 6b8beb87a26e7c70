"""Scores, size and speed of a model, and the record they make: shared by ``evaluate`` and ``finetune``."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel

from ..evaluate.speed import measure
from ..models.heads import model_labels
from ..models.language_tokenizers import tokenizer_for
from .context import Job
from .labelled import labelled_examples, task_of


def score(model: PreTrainedModel, folder: Path, job: Job) -> dict[str, Any]:
    """Score a model zero-shot on the target's test set, and on the source's test and validation sets where given.

    ``folder`` holds its tokenizers.
    """
    task, labels = task_of(job), job.settings["labels"]
    scores: dict[str, Any] = {"source_score": None, "validation_score": None}
    for name, field in (("test", "score"), ("source_test", "source_score"), ("source_validation", "validation_score")):
        if name not in job.inputs:
            continue
        gold = labelled_examples(job, name)
        tokenizer = tokenizer_for(folder, job.settings["lang" if name == "test" else "source"])
        found = task.score(model, tokenizer, gold, model_labels(model) if labels else (), job.settings["max_length"])
        scores[field] = found.score
        if field == "score":
            scores["details"] = found.details
    return scores


def make_record(
    job: Job, model: PreTrainedModel, folder: Path, scores: Mapping[str, Any], more: Mapping[str, Any]
) -> dict[str, Any]:
    """Put a record of results.jsonl together: what the model is, its scores, its size and its speed."""
    about = job.about
    config = model.config
    return {
        "step": job.folder.name,
        "kind": job.kind,
        "recipe": about.get("recipe", "teacher"),
        "source": job.settings["source"],
        "lang": job.settings["lang"],
        "teacher": about["teacher"],
        "assignment": about.get("assignment"),
        "layers": config.num_hidden_layers,
        "hidden": config.hidden_size,
        "density": about.get("density"),
        "task": job.settings["task"],
        "seed": about.get("seed", 0),
        "split": "test",
        "metric": task_of(job).metric,
        "score": scores["score"],
        "validation_score": scores["validation_score"],
        "source_score": scores["source_score"],
        "vocab_size": config.vocab_size,
        **asdict(measure(model, folder)),
        **more,
        "model_dir": str(folder),
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
