"""``bistil-ray pretrain``: a masked language model from scratch, or one that exists trained on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bistil_ray.planning.from_chance import HIDDEN, LAYERS, UNITS, default_heads

from ..console import stderr
from ..options import Corpora, Quiet, Seed
from ..single import carry_out, new_folder

if TYPE_CHECKING:
    from bistil_ray.facts import Input
    from bistil_ray.planning.step import Step

EPILOG = "Example: bistil-ray pretrain --langs en,sw --corpora corpora/ --tokenizer tokenizer/ --out teacher/"


def pretrain(
    langs: Annotated[str, typer.Option(help="Languages to train on, such as en,sw.")],
    corpora: Corpora,
    out: Annotated[Path, typer.Option(help="New folder for the model.")],
    tokenizer: Annotated[
        str | None, typer.Option(help="For a model from scratch: a folder or hub id with a fast tokenizer.")
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Instead: the masked language model to train on, a hub id or a folder.")
    ] = None,
    layers: Annotated[
        int | None, typer.Option(min=1, max=1_000, help=f"Layers, from scratch; {LAYERS} if not given.")
    ] = None,
    hidden: Annotated[
        int | None, typer.Option(min=8, max=100_000, help=f"Hidden units, from scratch; {HIDDEN} if not given.")
    ] = None,
    heads: Annotated[
        int | None,
        typer.Option(min=1, help=f"Attention heads, from scratch; of {UNITS} units or more each if not given."),
    ] = None,
    steps: Annotated[int, typer.Option(min=1, help="Optimiser steps.")] = 10_000,
    batch_size: Annotated[int, typer.Option(min=1, max=100_000, help="Blocks in a batch.")] = 32,
    length: Annotated[int, typer.Option(min=8, max=100_000, help="Tokens in a block.")] = 128,
    lr: Annotated[float, typer.Option(min=1e-8, max=1, help="Peak learning rate.")] = 5e-4,
    mask: Annotated[float, typer.Option(min=0.01, max=0.9, help="Share of tokens to predict.")] = 0.15,
    seed: Seed = 0,
    text_column: Annotated[str, typer.Option(help="The corpora's column of text.")] = "text",
    quiet: Quiet = False,
) -> None:
    """Train a BERT by masked language modelling on several languages, turn by turn, or an existing model on."""
    from bistil_ray.errors import ConfigError
    from bistil_ray.inputs import display_names, look_at_corpus, look_at_teacher, look_at_tokenizer
    from bistil_ray.languages import parse_languages
    from bistil_ray.planning.text_steps import WHOLE_VOCABULARY, pack_step, pretrain_on_step, pretrain_step
    from bistil_ray.settings import Optimisation, Packing

    out = new_folder(out)
    if (tokenizer is None) == (model is None):
        raise ConfigError("pretrain takes --tokenizer (a model from scratch) or --model (one to train on), one of them")
    shaped = {name: value for name, value in {"layers": layers, "hidden": hidden, "heads": heads}.items() if value}
    if model is not None and shaped:
        raise ConfigError(f"--{next(iter(shaped))} is for a model from scratch: --model {model} has its own shape")
    texts = {code: look_at_corpus(corpora, code, text_column, "--text-column") for code in parse_languages(langs)}
    phase = Optimisation(batch_size=batch_size, lr=lr, warmup=0.06)
    course = {"steps": steps, "mask": mask, "seed": seed}

    def packed(tokenizer: Input) -> Step:
        packing = Packing(length=length, max_megabytes=None)
        return pack_step(tuple(texts), text_column, WHOLE_VOCABULARY, packing, tokenizer, texts)

    if model is not None:
        facts = look_at_teacher(model, display_names([model])[model], {"--length": length}, "--model")
        pack = packed(facts.tokenizer)
        step = pretrain_on_step(phase, pack, facts, course)
    else:
        layers, hidden = layers or LAYERS, hidden or HIDDEN
        heads = heads or default_heads(hidden)
        if hidden % heads:
            raise ConfigError(f"--hidden {hidden} is not divisible by --heads {heads}")
        pack = packed(look_at_tokenizer(str(tokenizer)))
        step = pretrain_step(phase, pack, {"layers": layers, "hidden": hidden, "heads": heads}, course)
    found = carry_out([pack, step], out, f"{step.key}/model", quiet=quiet)[step.key]
    if not quiet:
        bits = ", ".join(f"{lang} {value:.3f}" for lang, value in found["bits_per_character"].items())
        stderr().print(f"Bits per character of held-out text: {bits}")
