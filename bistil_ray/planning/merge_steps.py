"""The steps of MergeDistill: what each teacher predicts for each of its languages, and the student of all of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict

from ..facts import TeacherFacts
from ..settings import Merging, Optimisation
from .step import Step, make_step
from .text_steps import Shape

# Settings of the predictions, which every student made of them has in common.
PREDICTED = ("mask", "top_k", "kept", "seed")


def predict_step(config: Merging, teacher: TeacherFacts, pack: Step, lang: str) -> Step:
    """A teacher's predictions for the one language of ``pack``, which keeps the whole vocabulary."""
    settings = {"lang": lang, "length": pack.settings["length"]}
    settings |= {name: getattr(config, name) for name in PREDICTED}
    return make_step(
        "predict", settings, {"teacher": teacher.model}, {"pack": pack}, {"lang": lang, "teacher": teacher.name}
    )


def merge_step(
    config: Merging,
    teachers: Mapping[str, TeacherFacts],
    packs: Mapping[str, Step],
    predictions: Mapping[str, Step],
    shape: Shape,
    body: str | None,
    seed: int,
) -> Step:
    """A student of the teachers, packs and predictions of each language.

    Its layers are those of the teacher of language ``body`` or, without one, start from chance.
    """
    languages = list(teachers)
    length = packs[languages[0]].settings["length"]
    own = [name for name in Merging.model_fields if name not in (*Optimisation.model_fields, *PREDICTED)]
    settings = {
        "languages": languages,
        "body": body,
        **asdict(shape),
        "heads": _heads(shape.hidden),
        "length": length,
        "seed": seed,
        **{name: getattr(config, name) for name in own},
    }
    names = {f"teacher-{lang}": teacher.name for lang, teacher in teachers.items()}
    about = {"languages": "-".join(languages), **names, "layers": shape.layers, "seed": seed}
    inputs = {f"teacher-{lang}": teacher.model for lang, teacher in teachers.items()}
    needs = {f"pack-{lang}": packs[lang] for lang in languages}
    needs |= {f"predict-{lang}": predictions[lang] for lang in languages}
    tokens = config.steps * config.batch_size * length
    flops = 6.0 * shape.layers * 12 * shape.hidden**2 * tokens
    phase = Optimisation(**{name: getattr(config, name) for name in Optimisation.model_fields})
    return make_step("merge", settings, inputs, needs, about, phase, tokens, flops)


def _heads(hidden: int) -> int:
    """As many attention heads as divide the width into 64 units or more."""
    return max(heads for heads in range(1, max(1, hidden // 64) + 1) if hidden % heads == 0)
