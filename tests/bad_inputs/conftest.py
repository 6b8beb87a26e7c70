"""Thousands of made-up inputs: each must end in a correct result or in one ``error:`` line with exit code 2.

``python -m pytest tests/bad_inputs`` runs a tenth of the cases, ``--hypothesis-profile=thorough`` all of them.
"""

from __future__ import annotations

import contextlib
import io
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

import pytest
import typer
from hypothesis import HealthCheck, given, settings
from hypothesis.strategies import SearchStrategy

from bistil_ray.cli.main import main, make_app
from bistil_ray.terminal import visible

# No case may take longer; most take milliseconds.
SECONDS = 20

settings.register_profile("thorough")
ran: Counter[str] = Counter()

Each = Callable[..., None]


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    stdout: str
    stderr: str


@pytest.fixture
def each(request: pytest.FixtureRequest) -> Each:
    """A function trying many values: ``each(values, body, cases=500)`` calls ``body`` with so many of them.

    The values are the same at every run. A body that takes too long fails.
    """

    def run(values: SearchStrategy[Any], body: Callable[[Any], None], cases: int) -> None:
        def timed(value: Any) -> None:
            ran[request.node.name] += 1
            with _limited(SECONDS):
                body(value)

        share = 1 if settings.get_current_profile_name() == "thorough" else 10
        how = settings(
            max_examples=cases // share,
            derandomize=True,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        how(given(values)(timed))()

    return run


@pytest.fixture
def ends_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Ended]:
    """A function running a command that must end as promised: done, or one line, code 2 and nothing written."""
    # What a case names without a path may not come to lie in the repository; nothing is trained here; and putting the
    # commands together takes longer than most cases.
    monkeypatch.chdir(tmp_path)
    command = typer.main.get_command(make_app())
    monkeypatch.setattr("typer.main.get_command", lambda app: command)
    monkeypatch.setattr("bistil_ray.cli.main.make_app", lambda: None)
    monkeypatch.setattr("ray.init", lambda **settings: pytest.fail("Ray was started"))

    def run(*words: str) -> Ended:
        before = _files(tmp_path)
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main(words)
        ended = Ended(code, out.getvalue(), err.getvalue())
        assert code in (0, 2), ended
        if code == 2:
            # What is being done may be said before.
            told = ended.stderr.splitlines()
            assert told[-1].startswith("error: ") and "Traceback" not in ended.stderr, ended
            assert sum(line.startswith("error: ") for line in told) == 1, ended
            assert visible(ended.stderr) == ended.stderr, ended
            assert _files(tmp_path) == before
        return ended

    return run


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many cases were tried."""
    if ran:
        terminalreporter.write_line(f"bad inputs: {ran.total():,} cases in {len(ran)} tests")


def _files(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if not path.is_dir()}


@contextlib.contextmanager
def _limited(seconds: float) -> Iterator[None]:
    """Raise TimeoutError in a block that takes longer."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise TimeoutError(f"still running after {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
