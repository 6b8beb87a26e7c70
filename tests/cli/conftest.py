"""Running the command line inside the test."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import pytest

from bistil_ray.cli.main import main


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    stdout: str
    stderr: str


@pytest.fixture
def bistil(capsys: pytest.CaptureFixture[str]) -> Callable[..., Ended]:
    """A function running a command: ``bistil("results", "runs/mine", "--json")``."""

    def run(*words: str) -> Ended:
        capsys.readouterr()
        code = main(words)
        return Ended(code, *capsys.readouterr())

    return run
