"""The steps of MergeDistill: what each teacher predicts for each of its languages, and the student of all of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict

from ..config import RunConfig
from ..errors import ConfigError
from ..facts import Input, TeacherFacts
from ..models.layers import layer_map
from ..settings import Merging, Optimisation, Vocabulary
from .from_chance import HIDDEN, LAYERS, default_heads
from .step import Step, make_step
from .text_steps import Shape

# Settings of the predictions, which every student made of them has in common.
PREDICTED = ("mask", "top_k", "kept", "seed")
# Settings of the packs that they are made of.
PACKED = ("threshold",)
# Settings of which students there are.
CHOSEN = ("body", "assignments", "max_assignments")


def student_shape(
    teachers: Mapping[str, TeacherFacts], body: str | None, layers: int | None, hidden: int | None
) -> Shape:
    """Give the shape of a student whose layers are those of the teacher of language ``body``, or start from chance."""
    if body is None:
        return Shape(layers or LAYERS, hidden or HIDDEN)
    teacher = teachers[body]
    if hidden not in (None, teacher.hidden):
        raise ConfigError(
            f"--hidden is {hidden}, but the layers of {teacher.name} have {teacher.hidden} units: leave out "
            "--hidden or --body (merge.body)"
        )
    shape = Shape(layers or teacher.layers // 2, teacher.hidden)
    layer_map(teacher.layers, shape.layers)
    return shape


def vocabulary_of_each(config: RunConfig) -> Vocabulary:
    """What a student of several teachers keeps of each one's vocabulary, for each language that it has."""
    return config.vocabulary.model_copy(update={"threshold": config.merge.threshold})


def predict_step(config: Merging, teacher: TeacherFacts, pack: Step, lang: str) -> Step:
    """A teacher's predictions for the one language of ``pack``, whose tokenizer is the teacher's."""
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
    others = (*Optimisation.model_fields, *PACKED, *PREDICTED, *CHOSEN)
    own = [name for name in Merging.model_fields if name not in others]
    settings = {
        "languages": languages,
        "body": body,
        **asdict(shape),
        "heads": default_heads(shape.hidden),
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
    flops = 6.0 * shape.parameters * tokens
    return make_step("merge", settings, inputs, needs, about, config.common, tokens, flops)


def given_merged_step(student: Input, shape: Shape, teachers: Mapping[str, str], seed: int) -> Step:
    """A student of several teachers that exists already, in the place of a ``merge`` step."""
    names = {f"teacher-{lang}": name for lang, name in teachers.items()}
    about = {"languages": "-".join(teachers), **names, "layers": shape.layers, "seed": seed}
    settings = {"languages": list(teachers), **asdict(shape), "seed": seed}
    return make_step("merge", settings, {"student": student}, {}, about)
