"""``bistil-ray distill``: phase 1 alone."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..options import RECIPE_HELP, Corpora, Quiet, Seed
from ..single import carry_out, new_folder, only_language, settings_of

EPILOG = "Example: bistil-ray distill --teacher FacebookAI/xlm-roberta-base --lang sw --corpora corpora/ --out student/"

READS = ("layers", "hidden", "vocabulary", "packing", "adapt", "language_sfts", "distil", "text_column")


def distill(
    teacher: Annotated[str, typer.Option(help="The teacher: a hub id or a folder.")],
    lang: Annotated[str, typer.Option(help="The target language.")],
    corpora: Corpora,
    out: Annotated[Path, typer.Option(help="New folder for the student.")],
    source: Annotated[str, typer.Option(help="The source language.")] = "en",
    layers: Annotated[int | None, typer.Option(help="Layers of the student; half the teacher's if not given.")] = None,
    hidden: Annotated[int | None, typer.Option(help="Hidden units of the student; the teacher's if not given.")] = None,
    recipe: Annotated[str, typer.Option(help=f"One of {RECIPE_HELP}.")] = "bistil",
    seed: Seed = 0,
    settings: Annotated[list[str] | None, typer.Option("--set", help="key=value, such as distil.steps=1000.")] = None,
    quiet: Quiet = False,
) -> None:
    """Distil a task-agnostic bilingual student from a teacher's hidden states and attention."""
    from bistil_ray.errors import ConfigError
    from bistil_ray.facts import Facts, TaskFacts
    from bistil_ray.feasibility import check_students
    from bistil_ray.inputs import look_at_corpus, look_at_language_sfts, look_at_teacher
    from bistil_ray.planning.plan import add_language_sfts
    from bistil_ray.planning.text_steps import Shape, default_depth, distil_step, pack_step
    from bistil_ray.recipes import RECIPES

    out = new_folder(out)
    flags = {
        "teacher": [teacher], "lang": lang, "source": source, "corpora": corpora, "recipe": recipe, "seed": seed,
        "layers": layers, "hidden": hidden, "task_data": "",
    }  # fmt: skip
    config = settings_of(settings or [], flags, READS)
    target = only_language(config)
    if config.recipes[0] not in RECIPES:
        raise ConfigError(f"--recipe {recipe} makes no student of one teacher: allowed are {', '.join(RECIPES)}")
    if target == config.source:
        raise ConfigError(f"--lang is the source language {target!r}: name another one, or another --source")
    facts = look_at_teacher(teacher, teacher, {"packing.length": config.packing.length}, "--teacher")
    check_students(facts, config)
    texts = {code: look_at_corpus(corpora, code, config.text_column) for code in (config.source, target)}
    pack = pack_step(tuple(texts), config.text_column, config.vocabulary, config.packing, facts.tokenizer, texts)
    steps = {pack.key: pack}
    known = Facts([facts], texts, TaskFacts({}, {}, ()), look_at_language_sfts(config))
    adapted = add_language_sfts(config, known, facts, texts, lambda step: steps.setdefault(step.key, step))
    if max(len(config.layers), len(config.hidden)) > 1:
        raise ConfigError(
            "layers and hidden name several shapes: this command makes one student, `bistil-ray sweep` many"
        )
    depths, widths = config.layers or (default_depth(config.distil, facts.layers),), config.hidden or (facts.hidden,)
    shape = Shape(depths[0], widths[0])
    step = distil_step(config.distil, facts, {"pack": pack, **adapted}, target, shape, config.recipes[0], seed)
    carry_out([*steps.values(), step], out, f"{step.key}/student", quiet=quiet)
