"""A model with a tokenizer for each language: how they lie in its folder, and how they are found again.

``tokenizers/<lang>/`` splits a language's text as its teacher did, into the model's ids; ``languages.json`` says
where each is, and beside the model lies one for all languages, if their kinds allow it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from transformers import PreTrainedTokenizerFast

from ..errors import ModelError
from ..storage import write_json
from .loading import load_tokenizer

FILE = "languages.json"


def save_tokenizers(
    folder: Path,
    tokenizers: Mapping[str, PreTrainedTokenizerFast],
    teachers: Mapping[str, str],
    merged: PreTrainedTokenizerFast | None,
) -> None:
    """Write the tokenizers of each language, with the names of their teachers, and the one for all, if any."""
    languages = {}
    for lang, tokenizer in tokenizers.items():
        place = f"tokenizers/{lang}"
        tokenizer.save_pretrained(folder / place)
        languages[lang] = {"tokenizer": place, "teacher": teachers[lang]}
    if merged is not None:
        merged.save_pretrained(folder)
    write_json(folder / FILE, {"languages": languages, "merged_tokenizer": merged is not None})


def tokenizer_for(folder: str | Path, lang: str) -> PreTrainedTokenizerFast:
    """Load the tokenizer that a model's folder has for a language: its own, else the one for all languages.

    ModelError where there is neither.
    """
    place = Path(folder)
    if not (place / FILE).is_file():
        return load_tokenizer(folder)
    described = json.loads((place / FILE).read_text(encoding="utf-8"))
    if lang in described["languages"]:
        return load_tokenizer(place / described["languages"][lang]["tokenizer"])
    if described["merged_tokenizer"]:
        return load_tokenizer(folder)
    raise ModelError(f"{folder} has no tokenizer for {lang!r}: it has them for {', '.join(described['languages'])}")
