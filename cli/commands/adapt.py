"""``bistil-ray adapt``: a language's sparse fine-tuning of a teacher."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..console import stderr
from ..options import Corpora, Quiet
from ..single import carry_out, new_folder, only_language, settings_of

EPILOG = "Example: bistil-ray adapt --teacher FacebookAI/xlm-roberta-base --lang sw --corpora corpora/ --out sw-sft/"

READS = ("packing", "adapt", "text_column")


def adapt(
    teacher: Annotated[str, typer.Option(help="The teacher: a hub id or a folder.")],
    lang: Annotated[str, typer.Option(help="The language.")],
    corpora: Corpora,
    out: Annotated[Path, typer.Option(help="New folder for the SFT.")],
    density: Annotated[float | None, typer.Option(min=0, max=1, help="Share of the encoder that may change.")] = None,
    settings: Annotated[list[str] | None, typer.Option("--set", help="key=value, such as adapt.lr=1e-4.")] = None,
    quiet: Quiet = False,
) -> None:
    """Tune a teacher sparsely to the text of one language (LT-SFT)."""
    from bistil_ray.inputs import look_at_corpus, look_at_teacher
    from bistil_ray.planning.text_steps import WHOLE_VOCABULARY, adapt_step, pack_step

    out = new_folder(out)
    chosen = [] if density is None else [f"adapt.density={density}"]
    flags = {"teacher": [teacher], "lang": lang, "corpora": corpora, "task_data": ""}
    config = settings_of([*(settings or []), *chosen], flags, READS)
    target = only_language(config)
    facts = look_at_teacher(teacher, teacher, {"packing.length": config.packing.length}, "--teacher")
    texts = {target: look_at_corpus(corpora, target, config.text_column)}
    pack = pack_step((target,), config.text_column, WHOLE_VOCABULARY, config.packing, facts.tokenizer, texts)
    step = adapt_step(config.adapt, facts, pack, target)
    found = carry_out([pack, step], out, f"{step.key}/sft", quiet=quiet)[step.key]
    before, after = (found[name][target] for name in ("bits_per_character_before", "bits_per_character"))
    if not quiet:
        stderr().print(
            f"Bits per character of held-out text: {before:.3f} before, {after:.3f} after; "
            f"{found['parameters']:,} parameters changed"
        )
