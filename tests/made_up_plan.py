"""What plans are made of, made up: teachers, corpora and labels that are nothing but names, and a configuration."""

from __future__ import annotations

from typing import Any

from bistil_ray.config import RunConfig
from bistil_ray.config_sources import load_config
from bistil_ray.facts import Facts, Input, TaskFacts, TeacherFacts
from bistil_ray.planning.plan import Plan

LANGS = ("sw", "yo", "ha")
DENSITIES = (0.02, 0.08, 0.32)


def teacher(name: str, tokenizer: str = "wordpiece", layers: int = 12) -> TeacherFacts:
    return TeacherFacts(
        name,
        Input(f"models/{name}", f"weights of {name}"),
        Input(f"models/{name}", tokenizer),
        layers,
        64,
        256,
        1000,
        "bert",
    )


def facts(langs: tuple[str, ...] = LANGS, *teachers: TeacherFacts) -> Facts:
    everyone = ("en", *langs)
    corpora = {lang: Input("corpora", f"texts in {lang}") for lang in everyone}
    files = {lang: {"test": Input(f"ner/{lang}/test.parquet", f"labels in {lang}")} for lang in everyone}
    files["en"]["train"] = Input("ner/en/train.parquet", "training labels")
    return Facts(
        teachers or (teacher("big"), teacher("small")), corpora, TaskFacts(files, {256: {"en": 3200}}, ("B-PER", "O"))
    )


def config(**values: Any) -> RunConfig:
    least = {"langs": LANGS, "teachers": ["big", "small"], "corpora": "c", "task_data": "n", "densities": DENSITIES}
    return load_config(defaults={**least, **values})


def keys(plan: Plan, *kinds: str) -> set[str]:
    return {step.key for step in plan if not kinds or step.kind in kinds}
