"""Step ``predict``: one teacher's predictions for the masked tokens of one language's text.

The pack has one language and the teacher's whole vocabulary. Product: ``predictions/*.parquet``, one file for each of
the pack's; those that are there are not made again. Every merging student that takes this teacher for this language
shares it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..data.masking import MaskingVocabulary
from ..data.order import count_blocks
from ..models.loading import load_masked_lm, load_tokenizer
from ..teachers.predictions import Predictor
from .blocks import training_files
from .context import Context, Job
from .examination import held_out_bits


def run(job: Job, context: Context) -> dict[str, Any]:
    """Predict file by file; give the number of blocks and how well the teacher knows the language."""
    settings, pack = job.settings, job.needs["pack"]
    vocabulary = MaskingVocabulary.from_tokenizer(load_tokenizer(pack / "tokenizer"))
    teacher = load_masked_lm(job.inputs["teacher"]).to(context.device)
    predictor = Predictor(
        teacher,
        vocabulary,
        mask=settings["mask"],
        top_k=settings["top_k"],
        seed=settings["seed"],
        draws=settings["kept"] == "drawn",
    )
    (files,) = training_files(pack)
    for number, file in enumerate(files, 1):
        target = job.folder / "predictions" / Path(file).name
        if not target.exists():
            predictor.predict_file(Path(file), target)
        context.report({"step": number, "tokens": count_blocks(files[:number]) * settings["length"]})
    return {
        "predictions": "predictions",
        "blocks": count_blocks(files),
        "bits_per_character": held_out_bits(teacher, pack, vocabulary),
    }


def prediction_files(step: Path) -> list[str]:
    """List the files of a finished ``predict`` step."""
    return sorted(str(path) for path in (step / "predictions").glob("*.parquet"))
