"""``bistil-ray pretrain``: a masked language model from scratch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..options import Quiet

EPILOG = "Example: bistil-ray pretrain --langs en,sw --corpora corpora/ --tokenizer tokenizer/ --out teacher/"


def pretrain(
    langs: Annotated[str, typer.Option(help="Languages to train on, such as en,sw.")],
    corpora: Annotated[str, typer.Option(help="Where <lang>.parquet or <lang>/*.parquet lie.")],
    tokenizer: Annotated[str, typer.Option(help="A folder or hub id with a fast tokenizer.")],
    out: Annotated[Path, typer.Option(help="New folder for the model.")],
    layers: Annotated[int, typer.Option(min=1, help="Layers.")] = 6,
    hidden: Annotated[int, typer.Option(min=8, help="Hidden units.")] = 256,
    heads: Annotated[
        int | None, typer.Option(min=1, help="Attention heads; one for each 64 units if not given.")
    ] = None,
    steps: Annotated[int, typer.Option(min=1, help="Optimiser steps.")] = 10_000,
    batch_size: Annotated[int, typer.Option(min=1, help="Blocks in a batch.")] = 32,
    length: Annotated[int, typer.Option(min=8, help="Tokens in a block.")] = 128,
    lr: Annotated[float, typer.Option(min=0, help="Peak learning rate.")] = 5e-4,
    mask: Annotated[float, typer.Option(min=0.01, max=0.9, help="Share of tokens to predict.")] = 0.15,
    seed: Annotated[int, typer.Option(help="Random seed.")] = 0,
    text_column: Annotated[str, typer.Option(help="The corpora's column of text.")] = "text",
    quiet: Quiet = False,
) -> None:
    """Train a BERT by masked language modelling on several languages, turn by turn."""
    from bistil_ray.errors import ConfigError
    from bistil_ray.inputs import look_at_corpus, look_at_tokenizer
    from bistil_ray.languages import parse_languages
    from bistil_ray.planning.text_steps import pack_step, pretrain_step
    from bistil_ray.settings import Optimisation, Packing, Vocabulary

    from .single import carry_out

    heads = heads or max(1, hidden // 64)
    if hidden % heads:
        raise ConfigError(f"--hidden {hidden} is not divisible by --heads {heads}")
    texts = {code: look_at_corpus(corpora, code, text_column) for code in parse_languages(langs)}
    whole = Vocabulary(threshold=0.0, keep_characters=False)
    pack = pack_step(
        tuple(texts),
        text_column,
        whole,
        Packing(length=length, max_megabytes=None),
        look_at_tokenizer(tokenizer),
        texts,
    )
    phase = Optimisation(batch_size=batch_size, lr=lr, warmup=0.06)
    shape = {"layers": layers, "hidden": hidden, "heads": heads, "steps": steps, "mask": mask, "seed": seed}
    step = pretrain_step(phase, pack, shape)
    carry_out([pack, step], out, lambda folder: folder / step.key / "model", quiet=quiet)
