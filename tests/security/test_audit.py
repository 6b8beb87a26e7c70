"""An audit that could look nothing up does not pass for one that found nothing."""

from __future__ import annotations

import importlib.util
import subprocess
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / ".ci" / "audit.py"
FINE = {"name": "numpy", "version": "2.0", "vulns": []}
UNKNOWN = {"name": "torch", "skip_reason": "not found"}
HOLED = {"name": "pyyaml", "version": "5.1", "vulns": [{"id": "CVE-2020-1747", "fix_versions": ["5.3.1"]}]}


@pytest.fixture
def audit() -> ModuleType:
    """The script as a module."""
    spec = importlib.util.spec_from_file_location("audit", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_what_is_known_decides(audit: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert audit.judge([FINE]) == 0
    assert audit.judge([FINE, UNKNOWN]) == 0
    assert "not looked up: torch" in capsys.readouterr().out
    assert audit.judge([FINE, HOLED, UNKNOWN]) == 1
    assert "pyyaml 5.1: CVE-2020-1747, fixed in 5.3.1" in capsys.readouterr().out
    assert audit.judge([UNKNOWN]) == audit.judge([]) == 3


@pytest.mark.parametrize("answer", ["", "{}", "no JSON"])
def test_no_answer_is_no_audit(
    audit: ModuleType, answer: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = subprocess.CompletedProcess((), 1, stdout=answer, stderr="Traceback\nConnectionError: no route")
    monkeypatch.setattr(subprocess, "run", lambda *given, **named: asked)
    assert audit.main() == 3
    assert capsys.readouterr().err.endswith("cannot be asked: ConnectionError: no route\n")
