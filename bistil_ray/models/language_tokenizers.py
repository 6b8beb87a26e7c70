"""A model with a tokenizer for each language: how they lie in its folder, and how they are found again.

``tokenizers/<lang>/`` splits a language's text as its teacher did, into the model's ids; ``languages.json`` says
where each is, and beside the model lies one for all languages, if their kinds allow it, or that of the language that
the model was chosen for.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerFast

from ..errors import ModelError
from ..storage import write_json
from .loading import load_tokenizer

FILE = "languages.json"
TOKENIZER = "tokenizer.json"


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
    described = _described(Path(folder))
    if described is None:
        return load_tokenizer(folder)
    if lang in described["languages"]:
        return load_tokenizer(Path(folder) / described["languages"][lang]["tokenizer"])
    if described["merged_tokenizer"]:
        return load_tokenizer(folder)
    raise ModelError(f"{folder} has no tokenizer for {lang!r}: it has them for {', '.join(described['languages'])}")


def tokenizer_beside(folder: Path) -> PreTrainedTokenizerFast:
    """Load the tokenizer beside a model, or that of its first language where each has its own alone."""
    return load_tokenizer(folder if _lies_beside(folder) else tokenizer_folders(folder)[0])


def teachers_by_language(folder: Path) -> dict[str, str]:
    """Give the name of each language's teacher; none for a model with one tokenizer."""
    described = _described(folder) or {"languages": {}}
    return {lang: facts["teacher"] for lang, facts in described["languages"].items()}


def tokenizer_folders(folder: Path) -> list[Path]:
    """List where a model's tokenizers lie: one for each language, or the one beside it."""
    described = _described(folder)
    return [folder] if described is None else [folder / facts["tokenizer"] for facts in described["languages"].values()]


def copy_tokenizers(source: Path, target: Path) -> None:
    """Put all tokenizers of a model's folder into that of a model with the same ids."""
    described = _described(source)
    if _lies_beside(source):
        load_tokenizer(source).save_pretrained(target)
    if described is not None:
        shutil.copytree(source / "tokenizers", target / "tokenizers")
        write_json(target / FILE, described)


def choose_language(folder: Path, lang: str) -> None:
    """Let the tokenizer beside the model be that of a language, where each has its own."""
    described = _described(folder)
    if described is not None:
        tokenizer_for(folder, lang).save_pretrained(folder)
        write_json(folder / FILE, {**described, "merged_tokenizer": False})


def _lies_beside(folder: Path) -> bool:
    """Tell whether a tokenizer lies beside the model: the only one, one for all languages, or the chosen one's."""
    return not (folder / FILE).is_file() or (folder / TOKENIZER).is_file()


def _described(folder: Path) -> dict[str, Any] | None:
    file = folder / FILE
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else None
