"""A sweep leaves its page beside its results, and a page that fails takes nothing from it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from bistil_ray.distributed.products import write_page
from bistil_ray.run_storage import storage_at


def test_the_page_lies_beside_the_results(make_run: Callable[..., Path], tmp_path: Path) -> None:
    run = make_run(tmp_path)
    write_page(run, storage_at(str(tmp_path)))
    assert (run / "report.html").read_text(encoding="utf-8").startswith("<!doctype html>")


def test_a_page_that_cannot_be_written_is_told_and_passed_over(
    make_run: Callable[..., Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = make_run(tmp_path)
    (run / "results.jsonl").write_text('{"step": 3}\n')
    with caplog.at_level(logging.WARNING):
        write_page(run, storage_at(str(tmp_path)))
    assert "report.html was not written" in caplog.text
    assert not (run / "report.html").exists()
