"""``bistil-ray trim``: the vocabulary cut alone."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..console import stderr, working
from ..options import Corpora, Quiet
from ..single import new_folder

EPILOG = (
    "Example: bistil-ray trim --teacher FacebookAI/xlm-roberta-base --langs en,sw --corpora corpora/ --out trimmed/"
)


def trim(
    teacher: Annotated[str, typer.Option(help="The model to cut: a hub id or a folder.")],
    langs: Annotated[str, typer.Option(help="Languages whose tokens stay, such as en,sw.")],
    corpora: Corpora,
    out: Annotated[Path, typer.Option(help="New folder for the trimmed model.")],
    threshold: Annotated[
        float, typer.Option(min=0, max=1, help="Keep tokens at least this frequent in one corpus.")
    ] = 1e-6,
    keep_characters: Annotated[bool, typer.Option(help="Keep every single character of every script.")] = False,
    text_column: Annotated[str, typer.Option(help="The corpora's column of text.")] = "text",
    quiet: Quiet = False,
) -> None:
    """Cut a model's vocabulary to some languages; what is kept is computed as before."""
    from bistil_ray.data.corpus import corpus_files, list_shards
    from bistil_ray.languages import parse_languages
    from bistil_ray.models.hub import locate_model
    from bistil_ray.models.loading import check_teacher, load_masked_lm, load_tokenizer, silence_transformers
    from bistil_ray.models.student import cut_vocabulary
    from bistil_ray.steps.context import LocalContext
    from bistil_ray.steps.pack import choose_vocabulary
    from bistil_ray.storage import prepare_folder, replacing
    from bistil_ray.vocab.trim import trim_tokenizer

    out = new_folder(out)
    silence_transformers()
    folder = locate_model(teacher, "--teacher")
    check_teacher(folder)
    shards = {
        code: list_shards(corpus_files(corpora, code), text_column, "--text-column") for code in parse_languages(langs)
    }
    prepare_folder(str(out.parent), "--out")
    with working("Counting tokens", quiet):
        kept = choose_vocabulary(LocalContext(), str(folder), shards, text_column, threshold, keep_characters)
    tokenizer = load_tokenizer(folder)
    before = len(tokenizer)
    model = cut_vocabulary(load_masked_lm(folder), kept)
    with replacing(out) as temporary:
        model.save_pretrained(temporary)
        trim_tokenizer(tokenizer, kept).save_pretrained(temporary)
    if not quiet:
        stderr().print(f"{len(kept):,} of {before:,} tokens kept; written to {out}")
