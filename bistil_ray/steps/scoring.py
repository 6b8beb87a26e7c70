"""Scores, size and speed of a model, and the record they make: shared by ``evaluate`` and ``finetune``."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel

from ..data.examples import Examples
from ..evaluate.speed import measure
from ..models.heads import model_labels
from ..models.language_tokenizers import tokenizer_for
from ..storage import read_result, write_text
from .context import Job
from .labelled import labelled_examples, task_of

PREDICTIONS = "predictions.jsonl"
SETS = (
    ("test", "lang", "score"),
    ("source_test", "source", "source_score"),
    ("source_validation", "source", "validation_score"),
    ("validation", "lang", "validation_score"),
)
"""Labelled sets by their role among a step's inputs: whose language they are of, and what a score on them is called."""


def score(speakers: Mapping[str, PreTrainedModel], folder: Path, job: Job) -> dict[str, Any]:
    """Score a model on the target's test set and, where they are given, the source's and a validation set of either.

    ``speakers`` is the model as it reads each of the two languages, ``folder`` holds its tokenizers. What it says of
    the test set is kept in ``predictions.jsonl``, a line an example.
    """
    task, labels = task_of(job), job.settings["labels"]
    scores: dict[str, Any] = {"source_score": None, "validation_score": None, "validation_lang": None}
    for name, whose, field in SETS:
        if name not in job.inputs:
            continue
        gold = labelled_examples(job, name)
        language = job.settings[whose]
        model, tokenizer = speakers[language], tokenizer_for(folder, language)
        longest = job.settings["max_length"]
        predicted = task.predict(model, tokenizer, gold, model_labels(model) if labels else (), longest)
        found = task.compare(gold, predicted)
        scores[field] = found.score
        if field == "score":
            write_text(job.folder / PREDICTIONS, "".join(f"{json.dumps(answer)}\n" for answer in predicted))
            scores |= {"details": found.details, **_beside_teacher(job, gold, predicted, found.score)}
        if field == "validation_score":
            scores["validation_lang"] = language
    return scores


def _beside_teacher(job: Job, gold: Examples, predicted: Sequence[Any], reached: float) -> dict[str, Any]:
    """Compare with the score and the answers of the undistilled teacher."""
    if "evaluate" in job.needs:
        folder, task = job.needs["evaluate"], task_of(job)
        taught = [json.loads(line) for line in (folder / PREDICTIONS).read_text().splitlines()]
        teacher_score = read_result(folder)["record"]["score"]
        agreement = task.compare(task.answered(gold, taught), predicted).score
    else:
        # A teacher that is compared with none stands for itself; a student may be of teachers that nobody scored.
        teacher_score, agreement = (None if "student" in job.needs else reached), None
    retention = reached / teacher_score if teacher_score else None
    return {"teacher_score": teacher_score, "retention": retention, "agreement": agreement}


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
        "validation_lang": scores["validation_lang"],
        "source_score": scores["source_score"],
        "teacher_score": scores["teacher_score"],
        "retention": scores["retention"],
        "agreement": scores["agreement"],
        "vocab_size": config.vocab_size,
        **asdict(measure(model, folder)),
        **more,
        "model_dir": str(folder),
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
