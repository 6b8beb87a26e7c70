"""From a configuration and the facts about its inputs to a plan: a graph of content-addressed steps.

Pure data: no torch, no ray, no file is read.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ..config import RunConfig
from ..facts import Facts, TeacherFacts
from ..recipes import MERGEDISTILL, RECIPES, TEACHER, phase_2_settings
from ..settings import Optimisation, Vocabulary
from .assignments import choose_assignments
from .merge_steps import merge_step, predict_step, student_shape, vocabulary_of_each
from .step import Step
from .task_steps import evaluate_step, finetune_step, task_teacher_step, taught_step, tuned_student_step
from .text_steps import (
    WHOLE_VOCABULARY,
    Shape,
    adapt_step,
    default_depth,
    distil_step,
    given_sft_step,
    pack_step,
)


@dataclass(frozen=True)
class Plan:
    """The steps of a run, each after the ones it needs."""

    steps: tuple[Step, ...]
    largest_model: int = 0
    """Parameters of the largest teacher, for working out what fits in memory."""
    most_states: int = 0
    """For the same: tokens of the largest batch, or part of one, times units times layers of the largest teacher."""

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
        if recipe in RECIPES
        for ground in grounds
        for lang in config.langs
        for layers in config.layers or (default_depth(config.distil, ground.teacher.layers),)
        for hidden in config.hidden or (ground.teacher.hidden,)
    ]
    merged = _merged_students(config, facts, grounds, add) if MERGEDISTILL in config.recipes else []
    for density in config.densities:
        for seed in config.seeds if TEACHER in config.recipes else ():
            for ground in grounds:
                _add_tuned_teacher(config, facts, ground, density, seed, add)
        for ground, recipe, student in students:
            lang = student.settings["lang"]
            needs = {"student": student, "task_teacher": ground.taught, "evaluate": ground.scored[lang]}
            read = [code for code in config.taught_in if code in (config.source, lang)]
            if phase_2_settings(RECIPES[recipe], config.finetune).text_share:
                needs["pack"] = ground.packs[lang]
                read.append(lang)
            needs |= sfts_of(ground.sfts, read)
            add(finetune_step(config, facts.task, ground.teacher, recipe, density, needs))
        for scored, student in merged:
            tuned = add(tuned_student_step(config, facts.task, student, density))
            for lang in config.langs:
                needs = {"task_teacher": tuned, "student": student, "evaluate": scored[lang]}
                add(evaluate_step(config, facts.task, lang, needs))
    return Plan(
        tuple(steps.values()),
        max(teacher.parameters for teacher in facts.teachers),
        max(teacher.layers * teacher.hidden for teacher in facts.teachers) * _most_tokens_at_once(config),
    )


@dataclass(frozen=True)
class _Ground:
    """What all students of one teacher build on: a task teacher; by language packs and scores; by role SFTs."""

    teacher: TeacherFacts
    packs: Mapping[str, Step]
    sfts: Mapping[str, Step]
    taught: Step
    scored: Mapping[str, Step]


def _most_tokens_at_once(config: RunConfig) -> int:
    phases: list[tuple[Optimisation, int]] = [(phase, phase.max_length) for phase in (config.teach, config.finetune)]
    phases.append((config.distil, config.packing.length))
    if config.adapt.enabled:
        phases.append((config.adapt, config.packing.length))
    if MERGEDISTILL in config.recipes:
        phases.append((config.merge, config.packing.length))
    return max(math.ceil(phase.batch_size / phase.accumulation) * length for phase, length in phases)


Add = Callable[[Step], Step]


def sfts_of(sfts: Mapping[str, Step], languages: Iterable[str]) -> dict[str, Step]:
    """Choose the SFTs of some languages, by role; none for a teacher that is not adapted."""
    return {role: sfts[role] for role in (f"sft-{lang}" for lang in languages) if role in sfts}


def add_language_sfts(
    config: RunConfig, facts: Facts, teacher: TeacherFacts, languages: Iterable[str], add: Add
) -> dict[str, Step]:
    """Add the steps that adapt a teacher to ``languages`` and give them by role, ``sft-<lang>``; none if it is not."""
    sfts = {}
    for lang in languages:
        if lang in facts.language_sfts:
            sfts[f"sft-{lang}"] = add(given_sft_step(facts.language_sfts[lang], teacher, lang))
        elif config.adapt.enabled:
            pack = add(_pack(config, facts, teacher, WHOLE_VOCABULARY, lang))
            sfts[f"sft-{lang}"] = add(adapt_step(config.adapt, teacher, pack, lang))
    return sfts


def _ground(config: RunConfig, facts: Facts, teacher: TeacherFacts, add: Add) -> _Ground:
    pairs = config.langs if any(recipe in RECIPES for recipe in config.recipes) else ()
    packs = {lang: add(_pack(config, facts, teacher, config.vocabulary, config.source, lang)) for lang in pairs}
    sfts = add_language_sfts(config, facts, teacher, config.languages, add)
    needs = sfts_of(sfts, config.taught_in)
    taught = add(taught_step(config, facts.task, teacher, needs))
    scored = {
        lang: add(
            evaluate_step(config, facts.task, lang, {"task_teacher": taught} | sfts_of(sfts, [config.source, lang]))
        )
        for lang in config.langs
    }
    return _Ground(teacher, packs, sfts, taught, scored)


def _pack(config: RunConfig, facts: Facts, teacher: TeacherFacts, vocabulary: Vocabulary, *languages: str) -> Step:
    return pack_step(languages, config.text_column, vocabulary, config.packing, teacher.tokenizer, facts.corpora)


def _student(config: RunConfig, ground: _Ground, lang: str, recipe: str, shape: Shape, seed: int) -> Step:
    needs = {"pack": ground.packs[lang]} | sfts_of(ground.sfts, [config.source, lang])
    return distil_step(config.distil, ground.teacher, needs, lang, shape, recipe, seed)


def _merged_students(
    config: RunConfig, facts: Facts, grounds: Iterable[_Ground], add: Add
) -> list[tuple[Mapping[str, Step], Step]]:
    """Add the students of recipe ``mergedistill``; give with each the scores of its languages' teachers.

    What a teacher predicts for a language is one step, however many assignments take it.
    """
    languages = config.languages
    by_name = {ground.teacher.name: ground for ground in grounds}
    names = dict(zip(config.teachers, by_name, strict=True)) | {name: name for name in by_name}
    body = None if config.merge.body is None else names.get(config.merge.body)
    vocabulary = vocabulary_of_each(config)
    students: list[tuple[Mapping[str, Step], Step]] = []
    for assignment in choose_assignments(config.merge, names, languages):
        teachers = {lang: by_name[name].teacher for lang, name in assignment.items()}
        packs = {lang: add(_pack(config, facts, teachers[lang], vocabulary, lang)) for lang in languages}
        made = {lang: add(predict_step(config.merge, teachers[lang], packs[lang], lang)) for lang in languages}
        scored = {lang: by_name[assignment[lang]].scored[lang] for lang in config.langs}
        first = next((lang for lang, name in assignment.items() if name == body), None)
        for layers, hidden, seed in itertools.product(config.layers or (None,), config.hidden or (None,), config.seeds):
            shape = student_shape(teachers, first, layers, hidden)
            students.append((scored, add(merge_step(config.merge, teachers, packs, made, shape, first, seed))))
    return students


def _add_tuned_teacher(config: RunConfig, facts: Facts, ground: _Ground, density: float, seed: int, add: Add) -> None:
    """Add the recipe ``teacher``: the undistilled teacher tuned as students are, scored on every language."""
    needs = sfts_of(ground.sfts, config.taught_in)
    tuned = add(task_teacher_step(config, facts.task, ground.teacher, needs, density, seed))
    for lang in config.langs:
        needs = {"task_teacher": tuned, "evaluate": ground.scored[lang]} | sfts_of(ground.sfts, [config.source, lang])
        if tuned != ground.taught:
            add(evaluate_step(config, facts.task, lang, needs))
