"""What a phase-1 student was made of, in a file beside it, for whoever fine-tunes it elsewhere."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from ..storage import write_json

FILE = "student.json"


def write_made_of(folder: Path, languages: Iterable[str], teacher: str, layer_choice: str | Sequence[int]) -> None:
    """Write the languages of a student (source first), its teacher's name and which of its layers it was made of."""
    write_json(folder / FILE, {"languages": list(languages), "teacher": teacher, "layer_choice": layer_choice})


def read_made_of(folder: Path) -> dict[str, Any]:
    """Read ``languages``, ``teacher`` and ``layer_choice`` of a student; nothing where nothing was written."""
    file = folder / FILE
    return dict(json.loads(file.read_text(encoding="utf-8"))) if file.is_file() else {}
