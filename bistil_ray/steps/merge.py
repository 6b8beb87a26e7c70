"""Step ``merge``: one student of many teachers, from what they predict for masked tokens (MergeDistill).

Needed are, for each language, the pack of its text and its teacher's predictions. Product: ``student/``, with a
tokenizer for each language (``models/language_tokenizers.py``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from transformers import PreTrainedModel

from ..models.language_tokenizers import save_tokenizers
from ..models.loading import load_masked_lm
from ..models.merged import merge_rows, student_from_chance, student_from_teacher, token_rows
from ..models.student import cut_vocabulary
from ..storage import replacing
from ..train.merging import Merging
from ..train.seeds import mix
from .context import Context, Job
from .examination import held_out_bits, train_examined
from .merged_vocabulary import MergedVocabulary, merge_vocabularies
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
    packs = {lang: job.needs[f"pack-{lang}"] for lang in teacher_of}
    vocabulary = merge_vocabularies(packs, teacher_of, _in_order(teacher_of, settings["body"]))
    student = _new_student(vocabulary, settings).to(context.device).train()
    stream = PredictionStream(
        files=[prediction_files(job.needs[f"predict-{lang}"]) for lang in teacher_of],
        maps=[vocabulary.maps[lang] for lang in teacher_of],
        batch_size=settings["batch_size"],
        micro_batches=job.micro_batches,
        seed=settings["seed"],
    )
    masking = {lang: vocabulary.masking(lang) for lang in teacher_of}

    def measure() -> dict[str, float]:
        return {
            lang: held_out_bits(student, pack, masking[lang], vocabulary.maps[lang])[lang]
            for lang, pack in packs.items()
        }

    trained = train_examined(
        job,
        context,
        Merging(student, settings["mlm_weight"], settings["rest"]),
        lambda start: stream.batches(context, start, settings["steps"]),
        list(teacher_of),
        measure,
    )
    if context.rank == 0:
        with replacing(job.folder / "student") as folder:
            student.save_pretrained(folder)
            save_tokenizers(
                folder,
                vocabulary.tokenizers(),
                {lang: job.about[f"teacher-{lang}"] for lang in teacher_of},
                vocabulary.tokenizer_for_all(),
            )
    return {
        "student": "student",
        "vocab_size": vocabulary.union.size,
        "params": sum(parameter.numel() for parameter in student.parameters()),
        **trained,
    }


def _in_order(teacher_of: Mapping[str, str], body: str | None) -> list[str]:
    """The teachers, each once, that of the body first: it keeps its ids and its space."""
    first = [teacher_of[body]] if body else []
    return list(dict.fromkeys([*first, *teacher_of.values()]))


def _new_student(vocabulary: MergedVocabulary, settings: Mapping[str, Any]) -> PreTrainedModel:
    """The first weights: a body from one teacher or from chance, rows of the vocabulary from all of them."""

    def cut_teacher(place: str) -> PreTrainedModel:
        return cut_vocabulary(load_masked_lm(place), vocabulary.kept[place])

    union = vocabulary.union
    rows = [token_rows(cut_teacher(place), len(ids)) for place, ids in vocabulary.kept.items()]
    first, tokenizer = next(iter(vocabulary.cut.items()))
    if settings["body"]:
        merged = merge_rows(rows, union, rows[0].embeddings_VD.shape[1])  # not always as wide as the hidden states
        return student_from_teacher(merged, cut_teacher(first), len(tokenizer), settings["layers"])
    torch.manual_seed(mix(settings["seed"], 0))
    merged = merge_rows(rows, union, settings["hidden"])
    return student_from_chance(
        merged, settings["layers"], settings["heads"], settings["length"], tokenizer.pad_token_id
    )
