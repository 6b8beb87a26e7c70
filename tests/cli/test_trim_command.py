"""A vocabulary cut from the command line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoModelForMaskedLM, AutoTokenizer
from transformers.utils import logging

TRIM = ("--langs", "sw", "--threshold", "0.02")


@pytest.fixture
def trimmed(bistil: Callable[..., Any], tiny_data: Path, bert_folder: Path, tmp_path: Path) -> Callable[..., Any]:
    """A function trimming a teacher to Swahili into ``tmp_path / "out"``."""
    places = ("--teacher", str(bert_folder), "--corpora", str(tiny_data / "corpora"), "--out", str(tmp_path / "out"))
    return lambda *flags: bistil("trim", *places, *TRIM, *flags)


def test_what_is_kept_is_told_and_loads(trimmed: Callable[..., Any], bert_folder: Path, tmp_path: Path) -> None:
    ended = trimmed()
    kept, before = (len(AutoTokenizer.from_pretrained(folder)) for folder in (tmp_path / "out", bert_folder))
    assert kept < before
    assert AutoModelForMaskedLM.from_pretrained(tmp_path / "out").config.vocab_size == kept
    assert ended.code == 0
    assert ended.stderr == f"{kept:,} of {before:,} tokens kept; written to {tmp_path / 'out'}\n"


def test_a_home_is_found_wherever_its_sign_stands(
    trimmed: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert trimmed("--out=~/mine").code == 0
    assert (tmp_path / "home" / "mine" / "config.json").is_file()


def test_quiet_says_nothing_not_even_bars_of_transformers(trimmed: Callable[..., Any]) -> None:
    logging.enable_progress_bar()
    assert trimmed("--quiet") == (0, "", "")
