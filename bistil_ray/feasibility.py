"""Whether the students of a configuration can be made from a teacher, found out before anything is spent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from .config import RunConfig
from .errors import ConfigError, ModelError
from .facts import TeacherFacts
from .losses.relation import choose_relation_heads
from .models.from_chance import POSITIONS
from .models.layers import layer_map
from .models.narrow import BERT_LIKE
from .planning.text_steps import default_depth
from .recipes import RECIPES, Recipe, phase_2_settings
from .tasks.registry import task_named


def check_students(teacher: TeacherFacts, config: RunConfig) -> None:
    """ConfigError or ModelError unless each recipe of one teacher makes students of every depth and width from it."""
    chosen: dict[str, Recipe] = {name: RECIPES[name] for name in config.recipes if name in RECIPES}
    if not chosen:
        return
    _check_depths(teacher, config, list(chosen.values()))
    _check_they_differ(chosen, config)
    check_terms(chosen.values(), config)
    widths = [width for width in config.hidden if width != teacher.hidden]
    if widths and max(widths) > teacher.hidden:
        raise ConfigError(f"--hidden {max(widths)} is more than the {teacher.hidden} units of {teacher.name}")
    if widths and "distilmbert" in chosen:
        raise ConfigError(
            f"recipe distilmbert compares hidden states as they are: it makes no student of --hidden {widths[0]} from "
            f"the {teacher.hidden} units of {teacher.name}"
        )
    rank, narrowest = config.distil.embedding_rank, min(config.hidden or (teacher.hidden,))
    if rank is not None and rank >= narrowest:
        raise ConfigError(
            f"distil.embedding_rank is {rank}; allowed: 1 to {narrowest - 1}, below the {narrowest} units of a student "
            f"of {teacher.name} (--hidden)"
        )
    if "minilmv2" in chosen:
        _check_relations(teacher, config)
    wishes = {"--hidden": bool(widths), "distil.embedding_rank": rank is not None}
    allowed = [family.name for family in BERT_LIKE]
    for wish, wanted in wishes.items():
        if wanted and teacher.family not in allowed:
            raise ConfigError(
                f"{wish} is there for teachers of type {', '.join(allowed)}, but {teacher.name} is a {teacher.family}"
            )


def check_terms(recipes: Iterable[Recipe], config: RunConfig) -> None:
    """ConfigError where a training would have nothing to minimise, or nothing on its batches of plain text."""
    first, second = config.distil, config.finetune
    for recipe in recipes:
        if recipe.objective == "states" and first.steps:
            _check_term("distil", first.hidden_weight, first.attention_weight, first.logit_weight, first.label_weight)
        if not recipe.under_teacher:
            continue
        states = second.hidden_weight, second.attention_weight
        _check_term("finetune", *states, second.logit_weight, second.label_weight)
        decides = second.logit_weight and task_named(config.task).asked_about_text(1)
        if phase_2_settings(recipe, second).text_share and not any(states) and not decides:
            raise ConfigError(
                f"there is nothing to learn from plain text in phase 2 of {config.task}: raise finetune.hidden_weight"
            )


def _check_term(phase: str, *weights: float) -> None:
    if not any(weights):
        raise ConfigError(f"all weights of {phase} are 0, there is nothing to learn: raise {phase}.hidden_weight")


def check_merged_students(config: RunConfig) -> None:
    """ConfigError unless the students of recipe mergedistill can read texts as long as those of phase 2."""
    longest = max(POSITIONS, config.packing.length)
    if config.merge.body is None and config.finetune.max_length > longest:
        raise ConfigError(
            f"finetune.max_length is {config.finetune.max_length}, but students of recipe mergedistill see at most "
            f"{longest} tokens: --set finetune.max_length={longest}"
        )


def _check_they_differ(chosen: Mapping[str, Recipe], config: RunConfig) -> None:
    for name, recipe in chosen.items():
        own = ", ".join(f"finetune.{setting}={value:g}" for setting, value in recipe.phase_2.items())
        if own and "bistil" in chosen and config.finetune == phase_2_settings(recipe, config.finetune):
            raise ConfigError(f"recipe {name} is bistil with {own}, which is set for both: leave one of them out")


def _check_depths(teacher: TeacherFacts, config: RunConfig, recipes: list[Recipe]) -> None:
    choice = config.distil.layer_choice
    if not config.layers and isinstance(choice, str) and teacher.layers % 2:
        raise ConfigError(
            f"{teacher.name} has {teacher.layers} layers, which cannot be halved: give the student's (--layers)"
        )
    copies = any(recipe.start == "layers" for recipe in recipes)
    for layers in config.layers or (default_depth(config.distil, teacher.layers),):
        try:
            # Only copied layers must be at even distances.
            layer_map(teacher.layers, layers, choice if copies else "bottom")
        except ModelError as problem:
            raise ModelError(f"{teacher.name}: {problem}") from None


def _check_relations(teacher: TeacherFacts, config: RunConfig) -> None:
    layer = config.distil.relation_layer
    if layer is not None and layer >= teacher.layers:
        raise ConfigError(f"distil.relation_layer is {layer}; allowed: 0 to {teacher.layers - 1} for {teacher.name}")
    for width in config.hidden or (teacher.hidden,):
        choose_relation_heads(width, teacher.hidden, config.distil.relation_heads)
