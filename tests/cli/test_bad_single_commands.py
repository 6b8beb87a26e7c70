"""Commands for single steps refuse what a sweep refuses, in the words of their own flags, and leave ``--out`` alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bistil_ray.cli.single import settings_of

Refused = Callable[..., str]

DISTILL = ("distill", "--teacher", "{teacher}", "--corpora", "{corpora}", "--out", "{out}")
ADAPT = ("adapt", *DISTILL[1:])
SHORT = ("--set", "teach.max_length=32", "--set", "finetune.max_length=32")
FINETUNE = (
    "finetune",
    "--teacher",
    "{teacher}",
    "--student",
    "{teacher}",
    "--task-data",
    "{task_data}",
    "--out",
    "{out}",
)
EVALUATE = ("evaluate", "{teacher}", "--task-data", "{task_data}", "--langs", "sw")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ((*DISTILL, "--lang", "swahli"), "unknown language 'swahli' in --lang;"),
        ((*DISTILL, "--lang", "sw,yo"), "--lang names 2 languages"),
        ((*DISTILL, "--lang", "en"), "--lang is the source language 'en'"),
        ((*DISTILL, "--lang", "sw", "--recipe", "magic"), "--recipe is 'magic'"),
        (
            (*DISTILL, "--lang", "sw", "--layers", "3", "--set", "packing.length=32"),
            "a student of 3 layers cannot be cut",
        ),
        ((*DISTILL, "--lang", "sw", "--layers", "0"), "--layers"),
        ((*DISTILL, "--lang", "sw", "--set", "layers=[1,2]", "--set", "packing.length=32"), "name several shapes"),
        ((*DISTILL[:-1], ".", "--lang", "sw"), "--out '.' exists already"),
        ((*DISTILL, "--lang", "sw"), "packing.length is 256, but"),
        ((*DISTILL, "--lang", "ha", "--set", "packing.length=32"), "no corpus for language 'ha'"),
        ((*ADAPT, "--lang", "swahli"), "unknown language 'swahli'"),
        ((*ADAPT, "--lang", "sw,yo"), "--lang names 2 languages"),
        ((*ADAPT, "--lang", "ha", "--set", "packing.length=32"), "no corpus for language 'ha'"),
        ((*ADAPT, "--lang", "sw"), "packing.length is 256, but"),
        ((*ADAPT, "--lang", "sw", "--density", "1.5"), "--density is '1.5': must be less than or equal to 1"),
        ((*ADAPT, "--lang", "sw", "--density", "some"), "--density is 'some': must be a valid number"),
        ((*ADAPT, "--lang", "sw", "--set", "adapt.freeze=[head]"), "adapt.freeze is 'head'"),
        ((*FINETUNE, "--lang", "sw", "--density", "1.5"), "--density is 1.5"),
        ((*FINETUNE, "--lang", "sw"), "teach.max_length is 256, but"),
        ((*FINETUNE, *SHORT, "--lang", "ha"), "no test data for 'ha'"),
        ((*FINETUNE, *SHORT, "--lang", "sw", "--set", "finetune.text_share=0.5"), "say where it lies (--corpora)"),
        ((*FINETUNE, "--task", "chess"), "--task is 'chess'"),
        (("trim", *DISTILL[1:], "--langs", "swahli"), "unknown language 'swahli'"),
        (("trim", *DISTILL[1:], "--langs", "sw,ha"), "no corpus for language 'ha'"),
        (("trim", *DISTILL[1:], "--langs", "sw", "--text-column", "body"), "no column 'body' but text (--text-column)"),
        (("corpus", "check", "{corpora}", "--langs", "sw", "--column", "body"), "no column 'body' but text (--column)"),
        (("corpus", "build", "news.txt", "--lang", "sw", "--out", "{out}", "--max-characters", "9"),
         "--max-characters is 9, below --min-characters, which is 20"),
        (("pretrain", "--tokenizer", "no/such/folder", *DISTILL[3:], "--langs", "sw"), "--tokenizer 'no/such/folder'"),
        (("pretrain", "--tokenizer", "{teacher}", *DISTILL[3:], "--langs", "sw", "--hidden", "100", "--heads", "3"),
         "--hidden 100 is not divisible by --heads 3"),
        (("pretrain", *DISTILL[3:], "--langs", "sw"), "one of them"),
        (("pretrain", "--model", "{teacher}", "--tokenizer", "{teacher}", *DISTILL[3:], "--langs", "sw"),
         "one of them"),
        (("pretrain", "--model", "{teacher}", *DISTILL[3:], "--langs", "sw", "--lr", "0"), "--lr is '0'"),
        (("pretrain", "--model", "{teacher}", *DISTILL[3:], "--langs", "sw", "--seed", "-1"), "--seed is '-1'"),
        (("corpus", "build", "news.txt", "--lang", "sw", "--out", "{out}", "--format", "word"),
         "--format is 'word': must be one of 'auto', 'text'"),
        (("dashboard", "{out}", "--serve", "--out", "{out}"), "--serve writes no file"),
        (("pretrain", "--model", "{teacher}", *DISTILL[3:], "--langs", "sw", "--lr", "inf"), "--lr"),
        (("pretrain", "--model", "{teacher}", *DISTILL[3:], "--langs", "sw", "--layers", "3"), "--layers is for"),
        (("pretrain", "--model", "{teacher}", *DISTILL[3:], "--langs", "sw", "--length", "200"),
         "sees at most 128 tokens: --length=128"),
        (("evaluate", "{teacher}", "--task-data", "{task_data}", "--langs", "ha"), "no test data for 'ha'"),
        (EVALUATE, "is not fine-tuned for token-classification"),
        ((*EVALUATE, "--task", "chess"), "--task 'chess'"),
        ((*EVALUATE, "--label-map", "DATE"), "--label-map 'DATE' is no pair: write --label-map DATE=O"),
    ],
)  # fmt: skip
def test_single_commands(
    refused: Refused, toy_settings: dict[str, Any], tmp_path: Path, words: tuple[str, ...], says: str
) -> None:
    places = {**toy_settings, "teacher": toy_settings["teachers"][0], "out": str(tmp_path / "out")}
    assert says in refused(command=tuple(word.format(**places) for word in words))
    assert not (tmp_path / "out").exists()


def test_an_output_that_exists_is_not_touched(refused: Refused, toy_settings: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").touch()
    places = {**toy_settings, "teacher": toy_settings["teachers"][0], "out": str(tmp_path / "out")}
    words = tuple(word.format(**places) for word in (*DISTILL, "--lang", "sw", "--set", "packing.length=32"))
    assert "exists already: choose a new folder" in refused(command=words)


def test_settings_that_a_command_does_not_read_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    flags = {"teacher": ["T"], "lang": "sw", "corpora": "C", "task_data": ""}
    config = settings_of(["distil.steps=3", "finetune.lr=3", "seeds=7"], flags, ("packing", "distil"))
    assert config.distil.steps == 3
    assert "does not read finetune.lr, seeds; it reads packing, distil and its flags" in capsys.readouterr().err
    settings_of(["distil.steps=3"], flags, ("packing", "distil"))
    assert capsys.readouterr() == ("", "")
