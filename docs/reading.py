"""What stands in a document: its commands and programs in order, its links, the words set as code."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
GENERATED = ("commands.md", "settings.md")
"""References, which show each command's example; every other document is read from top to bottom."""
PROGRAMS = ("bistil-ray", "make", "pip", "python", "ray", "kubectl", "optuna-dashboard", "tensorboard", "mlflow", "hf")
"""What a line of a block begins with, if it is a command and not what one prints."""

_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_CONTINUED = re.compile(r"\s*\\\n\s*")
_INLINE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
_LINK = re.compile(r"\]\(([^)\s]+)\)")
# A command and what it is for, in columns; gaps further left align the words of commands.
_REMARK = re.compile(r"(?<=.{22}) {2,}.*|\s#\s.*")


class Example(NamedTuple):
    """A command line of a document, or a Python program in it."""

    language: str
    text: str


def documents() -> list[Path]:
    """Give every document for users and contributors, the README first."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def examples(text: str) -> Iterator[Example]:
    """Give the commands and Python programs of a document's blocks in order.

    Lines that end in a backslash are joined; remarks beside a command are left out.
    """
    for language, block in _BLOCK.findall(text):
        if language == "python":
            yield Example(language, block)
            continue
        for line in _CONTINUED.sub(" ", block).splitlines():
            if line.split(" ")[0] in PROGRAMS:
                yield Example("sh", _REMARK.sub("", line).strip())


def inline_code(text: str) -> list[str]:
    """Give all that is set as code within sentences and tables."""
    return _INLINE.findall(_BLOCK.sub("", text))


def links(text: str) -> list[str]:
    """Give the targets of all links and pictures that lie beside the document, without their anchors."""
    targets = (target.partition("#")[0] for target in _LINK.findall(_BLOCK.sub("", text)))
    return [target for target in targets if target and "://" not in target]
