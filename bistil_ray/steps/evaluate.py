"""Step ``evaluate``: the undistilled task teacher on one target language, with its whole vocabulary."""

from __future__ import annotations

from typing import Any

from ..models.families import load_tokenizer
from ..storage import read_result
from .context import Context, Job
from .scoring import make_record, score
from .task_teacher import load_task_teacher


def run(job: Job, context: Context) -> dict[str, Any]:
    """Score the teacher; its record stands beside those of its students."""
    taught = read_result(job.needs["task_teacher"])
    model, folder = load_task_teacher(job.needs["task_teacher"])
    scores = score(model.to(context.device), load_tokenizer(str(folder)), job)
    more = {
        "teacher_score": scores["score"],
        "retention": 1.0 if scores["score"] else None,
        "tokens": taught["tokens"],
        "seconds": taught["seconds"],
    }
    return {"record": make_record(job, model, folder, scores, more), "by_type": scores["by_type"]}
