"""Step ``evaluate``: the undistilled task teacher on one target language, with its whole vocabulary.

A student of several teachers is scored in the same way, by the language's own tokenizer, and compared with the
language's own teacher. Product: ``model/``, the teacher under the language's SFT, where there is one.
"""

from __future__ import annotations

from typing import Any

from ..models.language_tokenizers import copy_tokenizers
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
    for sft in language_sfts(job, model, [job.settings["lang"]]):
        apply_delta(model, sft)
        with replacing(job.folder / "model") as temporary:
            model.save_pretrained(temporary)
            copy_tokenizers(folder, temporary)
        folder = job.folder / "model"
    scores = score(model.to(context.device), folder, job)
    more = {"tokens": taught["tokens"], "seconds": taught["seconds"]}
    return {"record": make_record(job, model, folder, scores, more), "details": scores["details"]}
