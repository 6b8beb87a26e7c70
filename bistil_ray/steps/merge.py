"""Step ``merge``: one student of many teachers, from what they predict for masked tokens (MergeDistill).

Needed are, for each language, the pack of its text and its teacher's predictions. Product: ``student/``, with a
tokenizer for each language (``models/language_tokenizers.py``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from ..data.masking import MaskingVocabulary
from ..models.language_tokenizers import save_tokenizers
from ..models.loading import load_masked_lm, load_tokenizer
from ..models.merged import merge_rows, student_from_chance, student_from_teacher, token_rows
from ..storage import replacing
from ..train.loop import Phase, mix, run_phase
from ..train.merging import Merging
from ..vocab.remapped import merged_tokenizer, remapped_tokenizer
from ..vocab.union import Union, unite
from .context import Context, Job
from .examination import Examination, held_out_bits
from .predict import prediction_files
from .predicted import PredictionStream


def run(job: Job, context: Context) -> dict[str, Any]:
    """Unite the vocabularies, train, measure each language on held-out text, save.

    A student that is given stays where it is.
    """
    if "student" in job.inputs:
        return {"student": job.inputs["student"], "bits_per_character": {}, "tokens": 0, "seconds": 0.0}
    settings = job.settings
    teacher_of = {lang: job.inputs[f"teacher-{lang}"] for lang in settings["languages"]}
    tokenizers = {place: load_tokenizer(place) for place in _in_order(teacher_of, settings["body"])}
    union = unite(list(tokenizers.values()))
    maps = dict(zip(tokenizers, union.maps, strict=True))
    student = _new_student(tokenizers, union, settings).to(context.device).train()
    stream = PredictionStream(
        files=[prediction_files(job.needs[f"predict-{lang}"]) for lang in teacher_of],
        maps=[maps[place] for place in teacher_of.values()],
        batch_size=settings["batch_size"],
        micro_batches=job.runtime.get("accumulation", 1),
        seed=settings["seed"],
    )
    vocabularies = {place: _masking(tokenizers[place], maps[place], union.size) for place in tokenizers}

    def measure() -> dict[str, float]:
        return {
            lang: held_out_bits(student, job.needs[f"pack-{lang}"], vocabularies[place], maps[place])[lang]
            for lang, place in teacher_of.items()
        }

    examine = Examination(measure, settings, context)
    progress = run_phase(
        Merging(student, settings["mlm_weight"], settings["rest"]),
        Phase.from_settings(settings, job.runtime, settings["steps"], list(teacher_of)),
        lambda start: stream.batches(context, start, settings["steps"]),
        checkpoints=job.folder / "checkpoints",
        report=context.report,
        after_step=examine,
        writes=context.rank == 0,
    )
    if context.rank == 0:
        remapped = {place: remapped_tokenizer(tokenizers[place], maps[place], union.size) for place in tokenizers}
        with replacing(job.folder / "student") as folder:
            student.save_pretrained(folder)
            save_tokenizers(
                folder,
                {lang: remapped[place] for lang, place in teacher_of.items()},
                {lang: job.about[f"teacher-{lang}"] for lang in teacher_of},
                merged_tokenizer(list(tokenizers.values()), union),
            )
    return {
        "student": "student",
        "bits_per_character": examine.measured or examine.measure(),
        "vocab_size": union.size,
        "tokens": progress.tokens,
        "seconds": progress.seconds,
        "params": sum(parameter.numel() for parameter in student.parameters()),
        "loss": progress.terms,
    }


def _in_order(teacher_of: Mapping[str, str], body: str | None) -> list[str]:
    """The teachers, each once, that of the body first: it keeps its ids and its space."""
    first = [teacher_of[body]] if body else []
    return list(dict.fromkeys([*first, *teacher_of.values()]))


def _new_student(
    tokenizers: Mapping[str, PreTrainedTokenizerFast], union: Union, settings: Mapping[str, Any]
) -> PreTrainedModel:
    """The first weights: a body from one teacher or from chance, rows of the vocabulary from all of them."""
    rows = [token_rows(load_masked_lm(place), len(ids)) for place, ids in zip(tokenizers, union.maps, strict=True)]
    (first, tokenizer), ids = next(iter(tokenizers.items())), union.maps[0]
    if settings["body"]:
        merged = merge_rows(rows, union, rows[0].embeddings_VD.shape[1])  # not always as wide as the hidden states
        return student_from_teacher(merged, load_masked_lm(first), len(ids), settings["layers"])
    torch.manual_seed(mix(settings["seed"], 0))
    merged = merge_rows(rows, union, settings["hidden"])
    pad_id = int(ids[tokenizer.pad_token_id])
    return student_from_chance(merged, settings["layers"], settings["heads"], settings["length"], pad_id)


def _masking(tokenizer: PreTrainedTokenizerFast, ids: np.ndarray, size: int) -> MaskingVocabulary:
    """What may be masked in a language's text, in the student's ids: the ordinary tokens of its teacher."""
    theirs = MaskingVocabulary.from_tokenizer(tokenizer)
    others = np.setdiff1d(np.arange(size), ids[theirs.ordinary_ids.numpy()])
    return MaskingVocabulary(size, int(ids[theirs.mask_id]), tuple(others.tolist()))
