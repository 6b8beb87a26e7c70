"""From a configuration and the facts about its inputs to a plan: a graph of content-addressed steps.

Pure data: no torch, no ray, no file is read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ..config import RunConfig, Vocabulary
from ..facts import Facts, TeacherFacts
from ..recipes import TEACHER
from .step import Step
from .task_steps import evaluate_step, finetune_step, task_teacher_step
from .text_steps import Shape, adapt_step, default_depth, distil_step, given_sft_step, pack_step


@dataclass(frozen=True)
class Plan:
    """The steps of a run, each after the ones it needs."""

    steps: tuple[Step, ...]
    largest_model: int = 0
    """Parameters of the largest teacher, for working out what fits in memory."""

    def __len__(self) -> int:
        return len(self.steps)

    def __iter__(self) -> Iterator[Step]:
        return iter(self.steps)

    def by_kind(self) -> dict[str, int]:
        """Count the steps of each kind, in the order of the plan."""
        return dict(Counter(step.kind for step in self.steps))

    def to_dict(self) -> dict[str, Any]:
        """Give the plan as plain data, for ``plan.json`` and ``--plan --json``."""
        steps = [{"key": step.key, "title": step.title, **asdict(step)} for step in self.steps]
        return {
            "steps": steps,
            "by_kind": self.by_kind(),
            "tokens": sum(step.tokens for step in self.steps),
            "flops": sum(step.flops for step in self.steps),
        }


def make_plan(config: RunConfig, facts: Facts) -> Plan:
    """Turn a configuration into steps.

    Steps that are the same work (a pack for two teachers of one tokenizer, a phase-1 student for every density and
    every recipe that begins with it) appear once. The order is one of execution, and languages take turns in it.
    """
    steps: dict[str, Step] = {}

    def add(step: Step) -> Step:
        return steps.setdefault(step.key, step)

    grounds = [_ground(config, facts, teacher, add) for teacher in facts.teachers]
    students = [
        (ground, recipe, add(_student(config, ground, lang, recipe, Shape(layers, hidden), seed)))
        for seed in config.seeds
        for recipe in config.recipes
        if recipe != TEACHER
        for ground in grounds
        for lang in config.langs
        for layers in config.layers or (default_depth(config.distil, ground.teacher.layers),)
        for hidden in config.hidden or (ground.teacher.hidden,)
    ]
    for density in config.densities:
        for seed in config.seeds if TEACHER in config.recipes else ():
            for ground in grounds:
                _add_tuned_teacher(config, facts, ground, density, seed, add)
        for ground, recipe, student in students:
            lang = student.settings["lang"]
            needs = {"student": student, "task_teacher": ground.taught, "evaluate": ground.scored[lang]}
            sources = [code for code in config.taught_in if code in (config.source, lang)]
            needs |= ground.sfts_of(*sources)
            add(finetune_step(config, facts.task, ground.teacher, recipe, density, needs))
    return Plan(tuple(steps.values()), max(teacher.parameters for teacher in facts.teachers))


@dataclass(frozen=True)
class _Ground:
    """What all students of one teacher build on: a task teacher; by language packs, SFTs if it is adapted, scores."""

    teacher: TeacherFacts
    packs: Mapping[str, Step]
    sfts: Mapping[str, Step]
    taught: Step
    scored: Mapping[str, Step]

    def sfts_of(self, *languages: str) -> dict[str, Step]:
        """Give the roles ``sft-<lang>``; none for a teacher that is not adapted."""
        return {f"sft-{lang}": self.sfts[lang] for lang in languages if lang in self.sfts}


Add = Callable[[Step], Step]


def _ground(config: RunConfig, facts: Facts, teacher: TeacherFacts, add: Add) -> _Ground:
    column, vocabulary, packing = config.text_column, config.vocabulary, config.packing

    def pack(languages: tuple[str, ...], cut: Vocabulary) -> Step:
        return add(pack_step(languages, column, cut, packing, teacher.tokenizer, facts.corpora))

    packs = {lang: pack((config.source, lang), vocabulary) for lang in config.langs}
    sfts: dict[str, Step] = {}
    for lang in dict.fromkeys((*config.taught_in, *config.langs)):
        if lang in facts.language_sfts:
            sfts[lang] = add(given_sft_step(facts.language_sfts[lang], teacher, lang))
        elif config.adapt.enabled:
            whole = vocabulary.model_copy(update={"threshold": 0.0})
            sfts[lang] = add(adapt_step(config.adapt, teacher, pack((lang,), whole), lang))
    needs = {f"sft-{lang}": sfts[lang] for lang in config.taught_in if lang in sfts}
    taught = add(task_teacher_step(config, facts.task, teacher, needs, config.teach.density))
    scored = {}
    for lang in config.langs:
        needs = {"task_teacher": taught} | ({f"sft-{lang}": sfts[lang]} if lang in sfts else {})
        scored[lang] = add(evaluate_step(config, facts.task, lang, needs))
    return _Ground(teacher, packs, sfts, taught, scored)


def _student(config: RunConfig, ground: _Ground, lang: str, recipe: str, shape: Shape, seed: int) -> Step:
    needs = {"pack": ground.packs[lang]} | ground.sfts_of(config.source, lang)
    return distil_step(config.distil, ground.teacher, needs, lang, shape, recipe, seed)


def _add_tuned_teacher(config: RunConfig, facts: Facts, ground: _Ground, density: float, seed: int, add: Add) -> None:
    """Add the recipe ``teacher``: the undistilled teacher tuned as students are, scored on every language."""
    needs = ground.sfts_of(*config.taught_in)
    tuned = add(task_teacher_step(config, facts.task, ground.teacher, needs, density, seed))
    for lang in config.langs:
        needs = {"task_teacher": tuned, "evaluate": ground.scored[lang]} | ground.sfts_of(lang)
        if tuned != ground.taught:
            add(evaluate_step(config, facts.task, lang, needs))
