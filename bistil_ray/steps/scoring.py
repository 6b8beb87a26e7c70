"""Scores, size and speed of a tagger, and the record they make: shared by ``evaluate`` and ``finetune``."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel, PreTrainedTokenizerFast

from ..data.tasks import TaggedSentences, map_labels, read_tagged
from ..evaluate.speed import measure
from ..evaluate.tagging import predict_tags, tagging_scores
from ..models.taggers import model_labels
from .context import Job

METRIC = "f1"


def read_sentences(job: Job, name: str, labels: tuple[str, ...]) -> TaggedSentences:
    """Read the labelled sentences of input ``name`` with the run's label map applied."""
    return map_labels(read_tagged(job.inputs[name]), job.settings["label_map"], labels)


def score(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, job: Job) -> dict[str, Any]:
    """Score a tagger zero-shot on the target's test set, and on the source's test and validation sets where given."""
    model.eval()
    labels = model_labels(model)
    scores: dict[str, Any] = {"source_score": None, "validation_score": None}
    for name, field in (("test", "score"), ("source_test", "source_score"), ("source_validation", "validation_score")):
        if name not in job.inputs:
            continue
        gold = read_sentences(job, name, labels)
        predicted = predict_tags(model, tokenizer, gold, labels, max_length=job.settings["max_length"])
        found = tagging_scores(gold.tags, predicted)
        scores[field] = found.f1
        if field == "score":
            scores["by_type"] = found.by_type
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
        "layers": config.num_hidden_layers,
        "hidden": config.hidden_size,
        "density": about.get("density"),
        "task": job.settings["task"],
        "seed": about.get("seed", 0),
        "split": "test",
        "metric": METRIC,
        "score": scores["score"],
        "validation_score": scores["validation_score"],
        "source_score": scores["source_score"],
        "vocab_size": config.vocab_size,
        **asdict(measure(model, folder)),
        **more,
        "model_dir": str(folder),
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
