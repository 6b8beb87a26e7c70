"""Step ``task-teacher``: the teacher fine-tuned on the task in the source language, or a given checkpoint as it is.

Product: ``model/`` with tokenizer; a given checkpoint stays where it is and the result points to it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transformers import PreTrainedModel

from ..models.families import load_tokenizer
from ..models.taggers import check_labels, load_tagger, model_labels, new_tagger
from ..storage import read_result, replacing
from ..train.loop import Phase, mix, run_phase
from ..train.objectives import LabelLearning
from .context import Context, Job
from .scoring import read_sentences
from .sentences import SentenceStream

SEED = 0
"""The task teacher serves every seed of a sweep, so it has one of its own."""


def run(job: Job, context: Context) -> dict[str, Any]:
    """Fine-tune all parameters on the source language's labels."""
    labels = tuple(job.settings["labels"])
    if "checkpoint" in job.inputs:
        return _take_given(job.inputs["checkpoint"], labels)
    settings = job.settings
    tokenizer = load_tokenizer(job.inputs["teacher"])
    model = new_tagger(job.inputs["teacher"], labels, mix(SEED, 2)).to(context.device)
    model.train()
    stream = SentenceStream(
        read_sentences(job, "train", labels), tokenizer, labels, settings["max_length"], settings["batch_size"],
        job.runtime.get("accumulation", 1), SEED,
    )  # fmt: skip
    phase = Phase.from_settings(settings, job.runtime, stream.steps(settings["epochs"]), seed=SEED)
    progress = run_phase(
        LabelLearning(model),
        phase,
        lambda start: stream.batches(context, start, phase.steps),
        checkpoints=job.folder / "checkpoints",
        report=context.report,
        writes=context.rank == 0,
    )
    if context.rank == 0:
        with replacing(job.folder / "model") as folder:
            model.save_pretrained(folder)
            tokenizer.save_pretrained(folder)
    return {"model": "model", "tokens": progress.tokens, "seconds": progress.seconds, "loss": progress.terms}


def load_task_teacher(step: Path) -> tuple[PreTrainedModel, Path]:
    """Load the model of a finished ``task-teacher`` step; give it and its folder."""
    folder = step / read_result(step)["model"]
    return load_tagger(folder), folder


def _take_given(checkpoint: str, labels: tuple[str, ...]) -> dict[str, Any]:
    model = load_tagger(checkpoint)
    check_labels(checkpoint, model_labels(model), labels)
    return {"model": str(Path(checkpoint).absolute()), "tokens": 0, "seconds": 0.0, "loss": {}}
