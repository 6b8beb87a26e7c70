"""The heads that a saved model may have, told by its configuration alone: no model is read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import ModelError


@dataclass(frozen=True)
class Head:
    """A kind of model: its name, how its class names end, and what the hub calls what it does (None: no word for it).

    ``about`` completes the sentence "This model ...".
    """

    name: str
    ending: str
    pipeline: str | None
    about: str


TAGGER = Head("token-classification", "ForTokenClassification", "token-classification", "labels the words of a text")
CLASSIFIER = Head(
    "sequence-classification",
    "ForSequenceClassification",
    "text-classification",
    "gives a text or a pair of texts a label",
)
ANSWERER = Head(
    "question-answering", "ForQuestionAnswering", "question-answering", "finds the answer to a question in a text"
)
PARSER = Head("dependency-parsing", "BiaffineParser", None, "finds each word's head and its relation to it")
MASKED_LM = Head("masked-lm", "ForMaskedLM", "fill-mask", "fills gaps in texts, and is there to be fine-tuned")
HEADS = (TAGGER, CLASSIFIER, ANSWERER, PARSER, MASKED_LM)


def read_config(folder: Path) -> dict[str, Any]:
    """Read a saved model's configuration; ModelError where there is none."""
    try:
        config: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as problem:
        raise ModelError(f"{folder} is not a model folder: its config.json cannot be read ({problem})") from problem
    return config


def head_of(config: Mapping[str, Any], place: str | Path) -> Head:
    """Tell the head by the class that the configuration names; ModelError for one that cannot be exported."""
    names = config.get("architectures") or ["no class"]
    found = next((head for head in HEADS if names[0].endswith(head.ending)), None)
    if found is None:
        allowed = ", ".join(f"...{head.ending}" for head in HEADS)
        raise ModelError(f"{place} is of class {names[0]}, which has no head to export; allowed: {allowed} (MODEL)")
    return found
