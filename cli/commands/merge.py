"""``bistil-ray merge``: one student of many teachers (MergeDistill)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ..console import print_json, print_table
from ..options import AsJson, Corpora, Quiet, Seed
from ..single import carry_out, new_folder, settings_of

EPILOG = "Example: bistil-ray merge --teachers en=english/,sw=swahili/,yo=swahili/ --corpora corpora/ --out student/"

READS = ("vocabulary", "packing", "merge", "text_column")


def merge(
    teachers: Annotated[str, typer.Option(help="The teacher of each language: en=A,sw=B, a hub id or a folder each.")],
    corpora: Corpora,
    out: Annotated[Path, typer.Option(help="New folder for the student.")],
    top_k: Annotated[int | None, typer.Option(help="Tokens kept of each prediction: merge.top_k.")] = None,
    threshold: Annotated[
        float | None, typer.Option(help="Keep tokens at least this frequent in a language's text: merge.threshold.")
    ] = None,
    body: Annotated[
        str | None, typer.Option(help="The teacher whose layers the student starts from; chance if not given.")
    ] = None,
    layers: Annotated[int | None, typer.Option(min=1, help="Layers; 6, or half of the body's.")] = None,
    hidden: Annotated[int | None, typer.Option(min=8, help="Hidden units; 256, or the body's.")] = None,
    seed: Seed = 0,
    settings: Annotated[list[str] | None, typer.Option("--set", help="key=value, such as merge.steps=1000.")] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Merge teachers of different languages and vocabularies into one student of all these languages."""
    from bistil_ray.assignment import check_predictions, language_of, parse_assignment
    from bistil_ray.inputs import display_names, look_at_corpus, look_at_teacher
    from bistil_ray.planning.merge_steps import merge_step, predict_step, student_shape, vocabulary_of_each
    from bistil_ray.planning.text_steps import pack_step

    out = new_folder(out)
    places = parse_assignment(teachers)
    flags = {
        "teachers": list(places.values()), "langs": list(places), "corpora": corpora, "seed": seed, "task_data": "",
        "top_k": top_k, "threshold": threshold, "body": body,
    }  # fmt: skip
    config = settings_of(settings or [], flags, READS)
    lengths = {"packing.length": config.packing.length}
    names = display_names(config.teachers)
    facts = {place: look_at_teacher(place, name, lengths) for place, name in names.items()}
    assigned = {lang: facts[place] for lang, place in places.items()}
    start = None if config.merge.body is None else language_of(config.merge.body, places, names)
    shape = student_shape(assigned, start, layers, hidden)
    check_predictions(facts.values(), config.merge.top_k)
    texts = {lang: look_at_corpus(corpora, lang, config.text_column) for lang in assigned}
    vocabulary = vocabulary_of_each(config)
    packs = {
        lang: pack_step((lang,), config.text_column, vocabulary, config.packing, teacher.tokenizer, texts)
        for lang, teacher in assigned.items()
    }
    predictions = {lang: predict_step(config.merge, teacher, packs[lang], lang) for lang, teacher in assigned.items()}
    step = merge_step(config.merge, assigned, packs, predictions, shape, start, config.seeds[0])
    order = [*packs.values(), *predictions.values(), step]
    results = carry_out(order, out, f"{step.key}/student", quiet=quiet)
    rows: list[dict[str, Any]] = [
        {
            "lang": lang,
            "teacher": teacher.name,
            "teacher_bits_per_character": results[predictions[lang].key]["bits_per_character"][lang],
            "bits_per_character": results[step.key]["bits_per_character"][lang],
        }
        for lang, teacher in assigned.items()
    ]
    if as_json:
        print_json(rows)
        return
    figures = {"teacher_bits_per_character": "teacher's bits per character", "bits_per_character": "student's"}
    print_table(
        ("lang", "teacher", *figures.values()),
        [(row["lang"], row["teacher"], *(f"{row[name]:.3f}" for name in figures)) for row in rows],
        right=figures.values(),
    )
