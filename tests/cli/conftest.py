"""Running the command line inside the test."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

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


@pytest.fixture
def no_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mistake that is noticed only when Ray runs is noticed too late."""
    monkeypatch.setattr("ray.init", lambda **settings: pytest.fail("Ray was started"))


@pytest.fixture
def mine(toy_settings: dict[str, Any], tmp_path: Path) -> str:
    """A configuration file that is all right."""
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump(toy_settings))
    return str(file)


@pytest.fixture
def refused(bistil: Callable[..., Ended], mine: str, no_ray: None, tmp_path: Path) -> Callable[..., str]:
    """A function that gives the error line of a sweep with more flags, or of another command."""

    def run(*flags: str, command: tuple[str, ...] = ("sweep", "--config", mine)) -> str:
        before = _files(tmp_path)
        code, out, err = bistil(*command, *flags)
        assert (code, out) == (2, "")
        assert err.startswith("error: ")
        assert err.count("\n") == 1 and err.endswith("\n")
        assert _files(tmp_path) == before
        return err

    return run


def _files(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if not path.is_dir()}
