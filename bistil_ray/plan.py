"""From a configuration and the facts about its inputs to a plan: a graph of content-addressed steps.

Pure data: no torch, no ray, no file is read. A step's fingerprint hashes everything that changes its bytes and nothing
else, so that equal work has one name in every run that shares a storage.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from .config import RUNTIME_SETTINGS, Distillation, Optimisation, Packing, RunConfig, Vocabulary
from .facts import Facts, Input, TaskFacts, TeacherFacts

# Raised when the algorithm of a kind of step changes its results: then its old steps no longer count as done.
VERSIONS = {"pack": 1, "pretrain": 1, "task-teacher": 1, "evaluate": 1, "distil": 1, "finetune": 1}

# Mean pieces of a labelled sentence: only for estimates of cost.
TOKENS_PER_SENTENCE = 32


@dataclass(frozen=True)
class Step:
    """One node of the plan.

    ``key`` names its folder; ``needs`` maps a role to the key of another step. ``settings`` are part of the
    fingerprint, ``runtime`` (how memory is saved, how often a checkpoint is kept) is not: it changes no result.
    """

    kind: str
    settings: Mapping[str, Any]
    inputs: Mapping[str, str]
    needs: Mapping[str, str]
    fingerprint: str
    about: Mapping[str, Any]
    runtime: Mapping[str, Any] = field(default_factory=dict)
    tokens: int = 0
    flops: float = 0.0

    @property
    def key(self) -> str:
        """Name of the step and of its folder under ``<storage>/steps/``."""
        return f"{self.kind}-{self.fingerprint}"

    @property
    def title(self) -> str:
        """A short name for people, such as ``distil sw mini-mbert 6 layers``."""
        shown = {"layers": "{} layers", "density": "density {:g}", "seed": "seed {}"}
        parts = [
            shown.get(key, "{}").format(value)
            for key, value in self.about.items()
            if key not in {"recipe", "seed"} or value
        ]
        return " ".join([self.kind, *parts])


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

    Steps that are the same work (a pack for two teachers of one tokenizer, a phase-1 student for every density) appear
    once. The order is a valid order of execution in which languages take turns.
    """
    steps: dict[str, Step] = {}

    def add(step: Step) -> Step:
        return steps.setdefault(step.key, step)

    pairs = [(teacher, lang) for teacher in facts.teachers for lang in config.langs]
    packs = {(teacher.name, lang): add(_pair_pack(config, facts, teacher, lang)) for teacher, lang in pairs}
    taught = {teacher.name: add(task_teacher_step(config, facts.task, teacher)) for teacher in facts.teachers}
    scored = {
        (teacher.name, lang): add(evaluate_step(config, facts.task, teacher, lang, taught[teacher.name]))
        for teacher, lang in pairs
    }
    students = [
        (teacher, lang, add(distil_step(config.distil, teacher, packs[teacher.name, lang], lang, layers, recipe, seed)))
        for seed in config.seeds
        for recipe in config.recipes
        for teacher, lang in pairs
        for layers in config.layers or (teacher.layers // 2,)
    ]
    for density in config.densities:
        for teacher, lang, student in students:
            needs = {
                "student": student,
                "task_teacher": taught[teacher.name],
                "evaluate": scored[teacher.name, lang],
            }
            add(finetune_step(config, facts.task, teacher, density, needs))
    return Plan(tuple(steps.values()), max(teacher.parameters for teacher in facts.teachers))


def _step(
    kind: str,
    settings: Mapping[str, Any],
    inputs: Mapping[str, Input],
    needs: Mapping[str, Step],
    about: Mapping[str, Any],
    phase: Optimisation | None = None,
    tokens: int = 0,
    flops: float = 0.0,
) -> Step:
    runtime: dict[str, Any] = {}
    if phase is not None:
        values = phase.model_dump()
        runtime = {name: values.pop(name) for name in RUNTIME_SETTINGS}
        settings = {**settings, **values}
    identity = {
        "kind": kind,
        "version": VERSIONS[kind],
        "settings": settings,
        "inputs": {name: value.fingerprint for name, value in inputs.items()},
        "needs": {role: step.key for role, step in needs.items()},
    }
    text = json.dumps(identity, sort_keys=True, ensure_ascii=False)
    return Step(
        kind=kind,
        settings=settings,
        inputs={name: value.uri for name, value in inputs.items()},
        needs={role: step.key for role, step in needs.items()},
        fingerprint=hashlib.blake2b(text.encode(), digest_size=10).hexdigest(),
        about=about,
        runtime=runtime,
        tokens=tokens,
        flops=flops,
    )


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
    return _step("pack", settings, inputs, {}, {"languages": "-".join(languages)})


def distil_step(
    config: Distillation, teacher: TeacherFacts, pack: Step, lang: str, layers: int, recipe: str, seed: int
) -> Step:
    """Phase 1 on a packed pair of languages."""
    settings = {"recipe": recipe, "lang": lang, "layers": layers, "seed": seed}
    about = {"lang": lang, "teacher": teacher.name, "layers": layers, "recipe": recipe, "seed": seed}
    tokens = config.steps * config.batch_size * pack.settings["length"]
    forward = teacher.body_parameters(teacher.layers) if recipe == "bistil" else 0
    flops = (2.0 * forward + 6.0 * teacher.body_parameters(layers)) * tokens
    return _step("distil", settings, {"teacher": teacher.model}, {"pack": pack}, about, config, tokens, flops)


def given_student_step(student: Input, layers: int, teacher: str, lang: str, seed: int) -> Step:
    """A phase-1 student that exists already, in the place of a ``distil`` step."""
    about = {"lang": lang, "teacher": teacher, "layers": layers, "recipe": "bistil", "seed": seed}
    return _step("distil", {"lang": lang, "layers": layers, "seed": seed}, {"student": student}, {}, about)


def pretrain_step(phase: Optimisation, pack: Step, shape: Mapping[str, Any]) -> Step:
    """A masked language model of ``shape`` from scratch on a pack."""
    settings = {**shape, "length": pack.settings["length"], "evaluations": 5}
    tokens = int(shape["steps"] * phase.batch_size * pack.settings["length"])
    flops = 6.0 * shape["layers"] * 12 * shape["hidden"] ** 2 * tokens
    return _step("pretrain", settings, {}, {"pack": pack}, {"layers": shape["layers"]}, phase, tokens, flops)


def _pair_pack(config: RunConfig, facts: Facts, teacher: TeacherFacts, lang: str) -> Step:
    languages = (config.source, lang)
    return pack_step(languages, config.text_column, config.vocabulary, config.packing, teacher.tokenizer, facts.corpora)


def task_teacher_step(config: RunConfig, task: TaskFacts, teacher: TeacherFacts) -> Step:
    """The teacher fine-tuned on the task, or the checkpoint given for it."""
    settings = {
        "task": config.task,
        "source": config.source,
        "labels": list(task.labels),
        "label_map": config.label_map,
    }
    about = {"teacher": teacher.name}
    given = task.given.get(teacher.name)
    if given is not None:
        return _step("task-teacher", settings, {"checkpoint": given}, {}, about)
    tokens = int(config.teach.epochs * task.train_rows * TOKENS_PER_SENTENCE)
    flops = 6.0 * teacher.body_parameters(teacher.layers) * tokens
    inputs = {"teacher": teacher.model, "train": task.files[config.source]["train"]}
    return _step("task-teacher", settings, inputs, {}, about, config.teach, tokens, flops)


def _scoring_inputs(config: RunConfig, task: TaskFacts, lang: str) -> dict[str, Input]:
    source = task.files[config.source]
    inputs = {"test": task.files[lang]["test"]}
    return inputs | {f"source_{split}": source[split] for split in ("validation", "test") if split in source}


def evaluate_step(config: RunConfig, task: TaskFacts, teacher: TeacherFacts, lang: str, task_teacher: Step) -> Step:
    """The undistilled task teacher's scores on one language."""
    settings = {
        "task": config.task,
        "source": config.source,
        "lang": lang,
        "labels": list(task.labels),
        "label_map": config.label_map,
        "max_length": config.teach.max_length,
    }
    about = {"lang": lang, "teacher": teacher.name}
    return _step("evaluate", settings, _scoring_inputs(config, task, lang), {"task_teacher": task_teacher}, about)


def finetune_step(
    config: RunConfig, task: TaskFacts, teacher: TeacherFacts, density: float, needs: Mapping[str, Step]
) -> Step:
    """Phase 2 at one density; ``needs`` holds the steps ``student``, ``task_teacher`` and ``evaluate``."""
    student = needs["student"]
    lang = student.settings["lang"]
    settings = {
        "task": config.task,
        "source": config.source,
        "lang": lang,
        "labels": list(task.labels),
        "label_map": config.label_map,
        "density": density,
        "seed": student.settings["seed"],
    }
    inputs = {"train": task.files[config.source]["train"], **_scoring_inputs(config, task, lang)}
    epochs = config.finetune.dense_epochs + config.finetune.sparse_epochs
    tokens = int(epochs * task.train_rows * TOKENS_PER_SENTENCE)
    layers = student.settings["layers"]
    flops = (2.0 * teacher.body_parameters(teacher.layers) + 6.0 * teacher.body_parameters(layers)) * tokens
    about = {**student.about, "density": density}
    return _step("finetune", settings, inputs, needs, about, config.finetune, tokens, flops)
