"""The plan of a sweep whose inputs are made up: how many steps there are and what they need asks for no real ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bistil_ray.config import RunConfig
from bistil_ray.config_sources import load_config
from bistil_ray.facts import Facts, Input, TaskFacts, TeacherFacts
from bistil_ray.languages import NAMES
from bistil_ray.planning.plan import Plan, make_plan


def make_up_plan(
    languages: int,
    teachers: Sequence[TeacherFacts],
    train_tokens: int,
    settings: Mapping[str, object],
    source: str | None = None,
) -> tuple[RunConfig, Plan]:
    """Plan a sweep from English to so many languages, ``train_tokens`` being those of its labelled text.

    ``settings`` go before those of the configuration ``source``; both leave out inputs.
    """
    langs = sorted(NAMES.keys() - {"en"})[:languages]
    names = [teacher.name for teacher in teachers]
    inputs = {"langs": langs, "teachers": names, "corpora": "corpora", "task_data": "ner"}
    config = load_config(source, flags={**inputs, **settings})
    corpora = {lang: Input("corpora", f"texts in {lang}") for lang in ("en", *langs)}
    files = {lang: {"test": Input(f"ner/{lang}/test.parquet", f"labels in {lang}")} for lang in ("en", *langs)}
    files["en"]["train"] = Input("ner/en/train.parquet", "training labels")
    tokens = dict.fromkeys((config.teach.max_length, config.finetune.max_length), {"en": train_tokens})
    return config, make_plan(config, Facts(teachers, corpora, TaskFacts(files, tokens, ("B-PER", "O"))))
