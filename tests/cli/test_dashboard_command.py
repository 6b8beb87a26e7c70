"""``bistil-ray dashboard`` writes or serves a run's page, without ray and without torch."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

Bistil = Callable[..., tuple[int, str, str]]


def test_the_page_is_written_where_it_is_wanted(bistil: Bistil, make_run: Callable[..., Path], tmp_path: Path) -> None:
    out = tmp_path / "new folder" / "page.html"
    code, stdout, stderr = bistil("dashboard", str(make_run(tmp_path)), "--out", str(out))
    assert (code, stdout, stderr) == (0, f"{out}\n", "")
    assert out.read_text(encoding="utf-8").startswith("<!doctype html>")


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["nowhere"], "no run at 'nowhere'"),
        ([".", "--serve"], "'.' is not a run"),
        ([".", "--port", "99999"], "--port"),
    ],
)
def test_mistakes_are_told_in_a_line(
    bistil: Bistil, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: list[str], says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    code, stdout, stderr = bistil("dashboard", *flags)
    assert (code, stdout) == (2, "")
    assert stderr.startswith("error: ") and says in stderr


def test_it_serves_until_it_is_interrupted(make_run: Callable[..., Path], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "bistil_ray.cli", "dashboard", str(make_run(tmp_path)), "--serve", "--port", "0"]
    # A suite that runs in the background has interrupts ignored, and so would have what it starts.
    heard = partial(signal.signal, signal.SIGINT, signal.default_int_handler)
    pipes = {"stderr": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, **pipes, text=True, preexec_fn=heard) as process:
        try:
            assert process.stderr is not None
            found = re.search(r"http://127\.0\.0\.1:\d+/", process.stderr.readline())
            assert found is not None
            with urllib.request.urlopen(f"{found[0]}data.json", timeout=20) as answer:
                assert answer.status == 200
            process.send_signal(signal.SIGINT)
            assert process.wait(20) == 0
        finally:
            process.kill()


def test_neither_ray_nor_torch_is_needed(make_run: Callable[..., Path], tmp_path: Path) -> None:
    script = (
        "import sys; from bistil_ray.cli.main import main; main(sys.argv[1:])\n"
        "print([name for name in ('ray', 'torch', 'transformers', 'pandas') if name in sys.modules], file=sys.stderr)"
    )
    words = ["dashboard", str(make_run(tmp_path)), "--out", str(tmp_path / "report.html")]
    ended = subprocess.run([sys.executable, "-c", script, *words], capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (0, "[]\n")
