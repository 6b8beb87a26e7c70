"""What a stranger may put into a file: pickles that do something when loaded, and words that want to be more."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

HOSTILE = (
    "</script><img src=x onerror=\"document.title='broken'\">",
    "'\"`${1}<b>bold</b>",
    "\u2028\u2029--><!--",
    "\x1b[31mred\x1b[0m\x07\x9b2J",
    "[red]red[/red][/]:boom:",
    "\u202egnp.exe",
    "{{data}}|`# no heading\n# a heading",
)
"""Words that a page, a terminal or Markdown would obey if it were let."""


class _Trap:
    """A pickle of this makes a file when it is loaded."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (str(self.file), "w")


@pytest.fixture
def trap(tmp_path: Path) -> Any:
    """What to pickle; ``trap.file`` is there once somebody has loaded it."""
    return _Trap(tmp_path / "sprung")


@pytest.fixture(params=HOSTILE, ids=range(len(HOSTILE)))
def hostile(request: pytest.FixtureRequest) -> str:
    """Hostile words in turn."""
    words: str = request.param
    return words
