"""Step ``evaluate``: the undistilled task teacher on one target language, with its whole vocabulary.

A student of several teachers is scored in the same way, by the language's own tokenizer, and compared with the
language's own teacher. Product: ``model/``, the teacher under the language's SFT, where there is one.
"""

from __future__ import annotations

from typing import Any

from ..models.language_tokenizers import copy_tokenizers
from ..storage import read_result, replacing
from ..teachers.adapted import adapted
from .context import Context, Job
from .labelled import task_of
from .scoring import make_record, score
from .task_teacher import language_sfts, load_task_teacher


def run(job: Job, context: Context) -> dict[str, Any]:
    """Score the teacher, in each language under its SFT; its record stands beside those of its students."""
    taught, languages = read_result(job.needs["task_teacher"]), (job.settings["source"], job.settings["lang"])
    model, folder = load_task_teacher(job.needs["task_teacher"], task_of(job).head)
    speakers = dict.fromkeys(languages, model)
    if sfts := language_sfts(job, model, languages):
        speakers = {lang: adapted(model, sft) for lang, sft in zip(languages, sfts, strict=True)}
        model = speakers[job.settings["lang"]]
        with replacing(job.folder / "model") as temporary:
            model.save_pretrained(temporary)
            copy_tokenizers(folder, temporary)
        folder = job.folder / "model"
    scores = score({lang: speaker.to(context.device) for lang, speaker in speakers.items()}, folder, job)
    more = {"tokens": taught["tokens"], "seconds": taught["seconds"]}
    return {"record": make_record(job, model, folder, scores, more), "details": scores["details"]}
