"""Packs for steps that start from one: a corpus in a single language, in short blocks."""

from __future__ import annotations

from pathlib import Path

from bistil_ray.steps.context import Job, LocalContext
from bistil_ray.steps.run import run_step


def pack_of(teacher: Path, corpora: Path, lang: str, folder: Path, threshold: float = 0) -> Path:
    """Pack one language of a folder of corpora, with the teacher's whole vocabulary where the threshold is 0."""
    settings = {
        "languages": [lang], "column": "text", "threshold": threshold, "keep_characters": False, "length": 16,
        "held_out": 0.1, "max_megabytes": None, "seed": 0,
    }  # fmt: skip
    run_step(Job("pack", settings, {"tokenizer": str(teacher), lang: str(corpora)}, {}, folder), LocalContext())
    return folder
