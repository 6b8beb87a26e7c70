"""What the documents say of the program is so: commands, flags, settings, files, and the two generated references."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import typer
from typer.core import TyperGroup

from bistil_ray.cli.main import make_app
from bistil_ray.config import RunConfig
from bistil_ray.config_sources import load_draft
from bistil_ray.planning.step import VERSIONS
from docs.reading import ROOT, documents, examples, inline_code, links
from docs.reference import PAGES

DOCUMENTS = [pytest.param(path, id=path.stem) for path in documents()]
FILES = re.compile(r"(?:[\w.-]+/)*[\w-]+\.(?:md|py|sh|yaml|toml)\b")
NOT_OURS = {"mine.yaml", "config.yaml"}
"""A user's file, and that of a run."""


@cache
def app() -> TyperGroup:
    """The command line."""
    return typer.main.get_command(make_app())


def commands(path: Path) -> list[str]:
    """The calls of this program in a document's blocks, those within a job of a cluster among them."""
    calls = (re.search(r"(?:^|-- )(bistil-ray .*)", each.text) for each in examples(path.read_text("utf-8")))
    return [call[1] for call in calls if call]


def parse(command: str) -> None:
    """Parse a command line as the program does, without carrying it out; ``...`` stands for what a reader knows."""
    words = shlex.split(re.sub(r"\s(?:>|&&|\|)\s.*|\s\.\.\.", "", command))[1:]
    called = app()
    context = called.make_context("bistil-ray", words)
    while isinstance(called, TyperGroup):
        name, called, words = called.resolve_command(context, [*context._protected_args, *context.args])
        context = called.make_context(name, words, parent=context)


def settings_in(command: str) -> list[str]:
    """The values of ``--set`` in a command."""
    words = shlex.split(command)
    return [value for flag, value in zip(words, words[1:], strict=False) if flag == "--set"]


@pytest.mark.parametrize("path", DOCUMENTS)
def test_the_program_takes_every_command(path: Path) -> None:
    for command in commands(path):
        try:
            parse(command)
        except typer.Exit:
            assert "--help" in command or "--version" in command
        except typer.TyperException as problem:
            pytest.fail(f"{command}\n{problem.format_message()}")
        if not command.startswith("bistil-ray cluster "):  # --set fills in its files, which have keys of their own
            load_draft(None, settings_in(command))


def test_a_command_that_the_program_does_not_know_is_noticed() -> None:
    for wrong in ("sweep --lang sw", "distil --out student/", "export runs/mine/best/sw", "corpus biuld x", "bench"):
        with pytest.raises(typer.TyperException):
            parse(f"bistil-ray {wrong}")


@pytest.mark.parametrize("path", DOCUMENTS)
def test_flags_and_settings_named_in_sentences_exist(path: Path) -> None:
    known_flags, known_keys = set(flags(app())), set(keys())
    codes = inline_code(path.read_text("utf-8"))
    ours = [word for code in codes if code.startswith(("--", "bistil-ray ")) for word in re.split(r"[\s=]+", code)]
    unknown = [word for word in ours if re.fullmatch(r"--[a-z][a-z-]+", word) and word not in known_flags]
    words = [word for code in codes for word in re.split(r"[\s=,'\"\[\]{}()]+", code)]
    sections = {key.partition(".")[0] for key in known_keys if "." in key}
    dotted = [word for word in words if re.fullmatch(r"[a-z]+\.[a-z_]+", word) and word.split(".")[0] in sections]
    unknown += [word for word in dotted if word not in known_keys and not (ROOT / "bistil_ray" / word).exists()]
    assert unknown == []


def flags(command: object) -> Iterator[str]:
    """Every flag of a command and of those below it."""
    yield "--help"
    for param in command.params:
        yield from (*param.opts, *param.secondary_opts)
    for below in command.commands.values() if isinstance(command, TyperGroup) else ():
        yield from flags(below)


def keys() -> Iterator[str]:
    """Every key of a configuration, those of its sections with a dot."""
    properties = RunConfig.model_json_schema()["$defs"]
    yield from RunConfig.model_fields
    for name, field in RunConfig.model_fields.items():
        kind = getattr(field.annotation, "__name__", "")
        yield from (f"{name}.{key}" for key in properties.get(kind, {}).get("properties", {}))


@pytest.mark.parametrize("path", DOCUMENTS)
def test_links_lead_somewhere(path: Path) -> None:
    missing = [target for target in links(path.read_text("utf-8")) if not (path.parent / target).exists()]
    assert missing == []


@pytest.mark.parametrize("path", DOCUMENTS)
def test_anchors_of_links_are_headings(path: Path) -> None:
    for target, anchor in re.findall(r"\]\(([\w./-]*\.md)?#([\w-]+)\)", path.read_text("utf-8")):
        text = (path.parent / target if target else path).read_text("utf-8")
        headings = [heading.strip("` ").lower() for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE)]
        assert anchor in [re.sub(r"[^\w -]", "", heading).replace(" ", "-") for heading in headings], target


@pytest.mark.parametrize("path", DOCUMENTS)
def test_files_of_this_project_that_are_named_exist(path: Path) -> None:
    ours = list(map(str, files_below(ROOT)))
    named = {word for code in inline_code(path.read_text("utf-8")) for word in FILES.findall(code)}
    missing = [name for name in named if not any(f"/{file}".endswith(f"/{name}") for file in ours)]
    assert [name for name in missing if name.rpartition("/")[2] not in NOT_OURS] == []


def files_below(folder: Path) -> Iterator[Path]:
    """The project's own files, relative to its root."""
    for place in ("bistil_ray", "cli", "configs", "cluster", "docs", "benchmarks", "tests", ".ci"):
        yield from (path.relative_to(folder) for path in (folder / place).rglob("*.*"))
    yield from (path.relative_to(folder) for path in folder.glob("*.*"))


@pytest.mark.parametrize("page", PAGES)
def test_references_are_what_the_program_gives_now(page: str) -> None:
    assert (ROOT / "docs" / page).read_text("utf-8") == PAGES[page](), "run `make docs`"


def test_every_setting_says_what_it_is_and_within_which_bounds() -> None:
    page = PAGES["settings.md"]()
    assert set(keys()) - {"adapt", "distil", "teach", "finetune", "merge"} <= set(re.findall(r"`([\w.]+)`", page))
    assert "| `distil.warmup` | number, at least 0, below 1 | `0.0` |" in page
    assert json.dumps(RunConfig.model_fields["densities"].default[0]) in page


def test_every_document_is_linked_from_another() -> None:
    texts = {path: path.read_text("utf-8") for path in documents()}
    linked = {(path.parent / target).resolve() for path, text in texts.items() for target in links(text)}
    assert [path.name for path in documents()[1:] if path not in linked] == []


def test_examples_are_read_as_people_read_them() -> None:
    text = (
        "```\nbistil-ray sweep --langs sw \\\n    --plan\nbistil-ray bench    a b           its cost (--json)\n"
        "bistil-ray doctor                    what works\nok  3 s\npip install x   # first\n```\n"
        "```python\nprint(1)\n```\n`bistil-ray inline`"
    )
    assert [(each.language, each.text) for each in examples(text)] == [
        ("sh", "bistil-ray sweep --langs sw --plan"),
        ("sh", "bistil-ray bench    a b"),
        ("sh", "bistil-ray doctor"),
        ("sh", "pip install x"),
        ("python", "print(1)\n"),
    ]
    assert inline_code(text) == ["bistil-ray inline"]


def test_every_module_has_its_place_in_the_architecture() -> None:
    rooms: dict[str, str] = {}
    for row in re.findall(r"^\| (`.+?) \| (.+) \|$", (ROOT / "docs" / "architecture.md").read_text("utf-8"), re.M):
        rooms |= dict.fromkeys(re.findall(r"`([^`]+)`", row[0]), row[1])
    package = ROOT / "bistil_ray"
    told_as_one = {"steps/": {step.replace("-", "_") for step in VERSIONS}, "sample/": None}
    missing = []
    for file in (path.relative_to(package) for path in package.rglob("*.py") if not path.name.startswith("__")):
        room = f"{file.parts[0]}/"
        if len(file.parts) == 1:
            missing += [] if file.name in rooms else [str(file)]
        elif room not in rooms or not _is_told(file, rooms[room], told_as_one.get(room, set())):
            missing.append(str(file))
    assert not missing


def _is_told(file: Path, row: str, as_one: set[str] | None) -> bool:
    return as_one is None or file.stem in as_one or f"`{file.name}`" in row
