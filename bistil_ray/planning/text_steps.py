"""The steps that need no labels: text packed, models pre-trained, teachers adapted, students distilled (phase 1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ..facts import Input, TeacherFacts
from ..recipes import RECIPES, phase_1_settings
from ..settings import Adaptation, Distillation, Optimisation, Packing, Vocabulary
from .step import Step, make_step

WHOLE_VOCABULARY = Vocabulary(threshold=0)
"""For what a teacher does by itself, whatever students come of it: nothing is cut."""


def pack_step(
    languages: Sequence[str],
    column: str,
    vocabulary: Vocabulary,
    packing: Packing,
    tokenizer: Input,
    corpora: Mapping[str, Input],
) -> Step:
    """The corpora of ``languages`` (source first), cut to their common part of a tokenizer's vocabulary and packed."""
    settings = {"languages": list(languages), "column": column, **vocabulary.model_dump(), **packing.model_dump()}
    inputs = {"tokenizer": tokenizer, **{lang: corpora[lang] for lang in languages}}
    return make_step("pack", settings, inputs, {}, {"languages": "-".join(languages)})


@dataclass(frozen=True)
class Shape:
    """The depth and width of a student."""

    layers: int
    hidden: int

    @property
    def parameters(self) -> int:
        """Parameters of the layers of a BERT of this shape (matrices only), as wide in between as BERT's are."""
        return self.layers * 12 * self.hidden**2


def default_depth(config: Distillation, teacher_layers: int) -> int:
    """Give the student's depth where nobody says it: that of the chosen layers, or half the teacher's."""
    return teacher_layers // 2 if isinstance(config.layer_choice, str) else len(config.layer_choice)


def adapt_step(config: Adaptation, teacher: TeacherFacts, pack: Step, lang: str) -> Step:
    """Sparse fine-tuning of a teacher to the one language of ``pack``, which keeps the whole vocabulary."""
    about = {"lang": lang, "teacher": teacher.name}
    if config.density == 1:  # nothing has to be chosen
        config = config.model_copy(update={"dense_steps": 0})
    tokens = (config.dense_steps + config.sparse_steps) * config.batch_size * pack.settings["length"]
    flops = 6.0 * teacher.body_parameters(teacher.layers) * tokens
    settings = {"lang": lang, "length": pack.settings["length"]}
    phase = config.model_copy(update={"enabled": True})  # the same work, whoever asks for it
    return make_step("adapt", settings, {"teacher": teacher.model}, {"pack": pack}, about, phase, tokens, flops)


def given_sft_step(sft: Input, teacher: TeacherFacts, lang: str) -> Step:
    """A language SFT that exists already, in the place of an ``adapt`` step."""
    about = {"lang": lang, "teacher": teacher.name}
    return make_step("adapt", {"lang": lang}, {"teacher": teacher.model, "sft": sft}, {}, about)


def distil_step(
    config: Distillation,
    teacher: TeacherFacts,
    needs: Mapping[str, Step],
    lang: str,
    shape: Shape,
    recipe: str,
    seed: int,
) -> Step:
    """Phase 1 on a packed pair of languages; ``needs`` holds ``pack`` and, where there are any, language SFTs."""
    made = RECIPES[recipe]
    values = config.model_dump(mode="json")
    settings = {"lang": lang, **asdict(shape), "seed": seed, **made.phase_1}
    settings |= phase_1_settings(made, {name: values[name] for name in values if name not in Optimisation.model_fields})
    about = {"lang": lang, "teacher": teacher.name, "layers": shape.layers}
    if shape.hidden != teacher.hidden:
        about["hidden"] = shape.hidden
    about |= {"recipe": recipe, "seed": seed}
    tokens = config.steps * config.batch_size * needs["pack"].settings["length"]
    forward = teacher.body_parameters(teacher.layers) if made.objective != "masked-lm" else 0
    flops = (2.0 * forward + 6.0 * teacher.body_parameters(shape.layers, shape.hidden)) * tokens
    return make_step("distil", settings, {"teacher": teacher.model}, needs, about, config.common, tokens, flops)


def given_student_step(
    student: Input, shape: Shape, layer_choice: str | Sequence[int], teacher: str, lang: str, seed: int
) -> Step:
    """A phase-1 student that exists already, made of ``layer_choice``, in the place of a ``distil`` step."""
    about = {"lang": lang, "teacher": teacher, "layers": shape.layers, "recipe": "bistil", "seed": seed}
    settings = {"lang": lang, **asdict(shape), "layer_choice": layer_choice, "seed": seed}
    return make_step("distil", settings, {"student": student}, {}, about)


def pretrain_step(phase: Optimisation, pack: Step, shape: Mapping[str, int], course: Mapping[str, Any]) -> Step:
    """A masked language model of ``shape`` (layers, hidden, heads) from scratch on a pack.

    ``course`` says how long it trains: its steps, the share of tokens to predict, the seed.
    """
    body = Shape(shape["layers"], shape["hidden"]).parameters
    return _on_pack(phase, pack, {**shape, **course}, {}, {"layers": shape["layers"]}, body)


def pretrain_on_step(phase: Optimisation, pack: Step, model: TeacherFacts, course: Mapping[str, Any]) -> Step:
    """A masked language model that exists, trained on with a pack of its whole vocabulary."""
    body = model.body_parameters(model.layers)
    return _on_pack(phase, pack, course, {"model": model.model}, {"model": model.name}, body)


def _on_pack(
    phase: Optimisation,
    pack: Step,
    settings: Mapping[str, Any],
    inputs: Mapping[str, Input],
    about: Mapping[str, Any],
    body: int,
) -> Step:
    tokens = int(settings["steps"] * phase.batch_size * pack.settings["length"])
    settings = {**settings, "length": pack.settings["length"], "evaluations": 5}
    return make_step("pretrain", settings, inputs, {"pack": pack}, about, phase, tokens, 6.0 * body * tokens)
