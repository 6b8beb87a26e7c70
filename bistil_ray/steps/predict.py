"""Step ``predict``: one teacher's predictions for the masked tokens of one language's text.

The pack has one language; the teacher is cut to the tokens that it kept. Product: ``predictions/*.parquet``, one file
for each of the pack's; those that are there are not made again. Where devices are idle, several processes predict side
by side. Every merging student that takes this teacher for this language shares the step.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch

from ..data.masking import MaskingVocabulary
from ..data.order import count_blocks
from ..errors import ConfigError
from ..models.loading import load_masked_lm, load_tokenizer
from ..models.student import cut_vocabulary
from ..teachers.constant import check_states
from ..teachers.predictions import Predictor
from .blocks import a_block, training_files
from .context import Context, Job
from .examination import held_out_bits
from .pack import kept_tokens

Work = tuple[Path, Path]
"""A file of blocks, and where its predictions belong."""


def run(job: Job, context: Context) -> dict[str, Any]:
    """Predict file by file; give the number of blocks and how well the teacher knows the language."""
    pack = job.needs["pack"]
    (files,) = training_files(pack)
    work = [(Path(file), job.folder / "predictions" / Path(file).name) for file in files]
    left = [(blocks, target) for blocks, target in work if not target.exists()]
    predictor = load_predictor(job, context.device)
    check_states(predictor.teacher, a_block(pack, job.settings["lang"]), job.inputs["teacher"])
    predicted = count_blocks([str(blocks) for blocks, target in work if target.exists()])
    made = context.spread(partial(predict_file, predictor), partial(_loaded, job), left)
    for number, blocks in enumerate(made, len(work) - len(left) + 1):
        predicted += blocks
        context.report({"step": number, "tokens": predicted * job.settings["length"]})
    return {
        "predictions": "predictions",
        "blocks": predicted,
        "bits_per_character": held_out_bits(predictor.teacher, pack, predictor.vocabulary),
    }


def load_predictor(job: Job, device: torch.device) -> Predictor:
    """Load the teacher of a ``predict`` step; ConfigError where too few of its tokens stay for ``top_k`` of them."""
    settings, pack = job.settings, job.needs["pack"]
    vocabulary = MaskingVocabulary.from_tokenizer(load_tokenizer(pack / "tokenizer"))
    if settings["top_k"] >= vocabulary.vocab_size:
        raise ConfigError(
            f"merge.top_k is {settings['top_k']}, but {vocabulary.vocab_size} tokens of {job.inputs['teacher']} stay "
            f"for {settings['lang']!r}: lower merge.threshold or merge.top_k (--threshold, --top-k)"
        )
    teacher = cut_vocabulary(load_masked_lm(job.inputs["teacher"]), kept_tokens(pack))
    return Predictor(
        teacher.to(device),
        vocabulary,
        mask=settings["mask"],
        top_k=settings["top_k"],
        seed=settings["seed"],
        draws=settings["kept"] == "drawn",
    )


def predict_file(predictor: Predictor, work: Work) -> int:
    """Write the predictions for a file; give its number of blocks."""
    predictor.predict_file(*work)
    return count_blocks([str(work[0])])


def _loaded(job: Job, device: torch.device) -> Callable[[Work], int]:
    return partial(predict_file, load_predictor(job, device))


def prediction_files(step: Path) -> list[str]:
    """List the files of a finished ``predict`` step."""
    return sorted(str(path) for path in (step / "predictions").glob("*.parquet"))
