"""Step ``evaluate``: the undistilled task teacher on one target language, with its whole vocabulary.

Product: ``model/``, the teacher under the language's SFT, where there is one.
"""

from __future__ import annotations

from typing import Any

from ..models.loading import load_tokenizer
from ..sparse.delta import apply_delta
from ..storage import read_result, replacing
from .context import Context, Job
from .labelled import task_of
from .scoring import make_record, score
from .task_teacher import language_sfts, load_task_teacher


def run(job: Job, context: Context) -> dict[str, Any]:
    """Score the teacher; its record stands beside those of its students."""
    taught = read_result(job.needs["task_teacher"])
    model, folder = load_task_teacher(job.needs["task_teacher"], task_of(job).head)
    tokenizer = load_tokenizer(str(folder))
    for sft in language_sfts(job, model, [job.settings["lang"]]):
        apply_delta(model, sft)
        folder = job.folder / "model"
        with replacing(folder) as temporary:
            model.save_pretrained(temporary)
            tokenizer.save_pretrained(temporary)
    scores = score(model.to(context.device), tokenizer, job)
    learned_from = read_result(job.needs["evaluate"])["record"] if "evaluate" in job.needs else scores
    more = {
        "teacher_score": learned_from["score"],
        "retention": scores["score"] / learned_from["score"] if learned_from["score"] else None,
        "tokens": taught["tokens"],
        "seconds": taught["seconds"],
    }
    return {"record": make_record(job, model, folder, scores, more), "details": scores["details"]}
