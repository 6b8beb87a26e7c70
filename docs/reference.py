"""Writes ``commands.md`` from the command line and ``settings.md`` from the models of the configuration.

``python -m docs.reference`` (``make docs``) writes both; a test fails while they are not what this gives.
"""

from __future__ import annotations

import ast
import inspect
import json
import re
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

import typer
from pydantic import BaseModel
from typer.core import TyperCommand, TyperGroup

from bistil_ray.cli.main import make_app  # type: ignore[import-not-found]  # checked as cli.main
from bistil_ray.config import RunConfig
from bistil_ray.config_sources import FLAG_KEYS

from .reading import ROOT

PROGRAM = "bistil-ray"
WRITTEN_BY = "<!-- Written by `make docs`: change the program, not this file. -->"
# Words for the bounds of a JSON schema.
BOUNDS = {"minimum": "at least", "exclusiveMinimum": "above", "maximum": "at most", "exclusiveMaximum": "below"}
LARGEST_EXACT = 2**53
"""Bounds from here on are those of numbers on computers, not of the setting."""
KINDS = {"string": "text", "integer": "whole number", "number": "number", "boolean": "true or false"}

_EXTRA = re.compile(r"^(.*?)(?:  \[(.*)\])?$", re.DOTALL)


def commands_page() -> str:
    """Give the reference of every command: its help, arguments and options with their defaults, its example."""
    app = typer.main.get_command(make_app())
    assert isinstance(app, TyperGroup)
    parts = [
        "# Commands",
        WRITTEN_BY,
        f"`{PROGRAM} COMMAND --help` prints the same. Exit codes: 0 done, 1 some steps failed, 2 a mistake in the "
        "command or the data, 130 interrupted. What `--set` takes is in [settings.md](settings.md).",
        _contents(app),
        *(section for path, command in _all_commands(app, PROGRAM) for section in _command_section(path, command)),
    ]
    return "\n\n".join(parts) + "\n"


def settings_page() -> str:
    """Give the reference of every key of a configuration: its type and bounds, its default, what it is for."""
    schema = RunConfig.model_json_schema()
    sections = {key: kind for key in RunConfig.model_fields if (kind := _section(RunConfig, key))}
    own = [key for key in RunConfig.model_fields if key not in sections]
    parts = [
        "# Settings",
        WRITTEN_BY,
        "Every key of a configuration file; on the command line `--set KEY=VALUE`, values as in YAML. Defaults are the "
        f"program's own: a shipped configuration (`{PROGRAM} configs ls`) has others, and a sweep of the embedded "
        "sample runs with those of `sample`. What wins: a flag, then `--set`, then the file, then the default. A "
        "run's `config.yaml` has all of them as they were.",
        "## The run",
        _table(("key", "value", "default", "what it is"), _setting_rows(RunConfig, own, schema, "", _flags())),
    ]
    for key, kind in sections.items():
        rows = _setting_rows(kind, list(kind.model_fields), schema["$defs"][kind.__name__], f"{key}.", _flags())
        parts += [f"## `{key}`", inspect.getdoc(kind) or "", _table(("key", "value", "default", "what it is"), rows)]
    return "\n\n".join(parts) + "\n"


PAGES = {"commands.md": commands_page, "settings.md": settings_page}


def _all_commands(command: TyperCommand | TyperGroup, path: str) -> Iterator[tuple[str, TyperCommand | TyperGroup]]:
    """Give a command and those below it, each with the words that call it."""
    yield path, command
    if isinstance(command, TyperGroup):
        for name, below in command.commands.items():
            assert isinstance(below, TyperCommand | TyperGroup)
            yield from _all_commands(below, f"{path} {name}")


def _contents(app: TyperGroup) -> str:
    rows = [
        (f"[`{path}`](#{path.replace(' ', '-')})", (command.help or "").split("\n")[0])
        for path, command in _all_commands(app, PROGRAM)
        if not isinstance(command, TyperGroup)
    ]
    return _table(("command", "what it does"), [(name, _text(about)) for name, about in rows])


def _command_section(path: str, command: TyperCommand | TyperGroup) -> Iterator[str]:
    yield f"## {path}"
    yield _text(command.help or "")
    context = typer.Context(command, info_name=path)
    records = [param.get_help_record(context) for param in command.params]
    rows = []
    for words, about in filter(None, records):
        text, extra = _EXTRA.fullmatch(about).groups()  # type: ignore[union-attr]  # it matches any text
        rows.append((_code(words), _text(text), _text((extra or "").removeprefix("default: "))))
    if rows:
        yield _table(("argument or option", "what it is", "default"), rows)
    yield f"```\n{(command.epilog or '').removeprefix('Example: ')}\n```"


def _setting_rows(
    model: type[BaseModel], keys: list[str], schema: dict[str, Any], prefix: str, flags: dict[str, tuple[str, str]]
) -> list[Sequence[str]]:
    docstrings = _attribute_docstrings(model)
    rows: list[Sequence[str]] = []
    for key in keys:
        field, name = schema["properties"][key], f"{prefix}{key}"
        flag, about = flags.get(name, ("", ""))
        default = _code(_value(field["default"])) if "default" in field else "to be given"
        text = _text(docstrings.get(key) or about)
        rows.append((_code(name), _text(_kind(field)), default, f"{text} {_code(flag) if flag else ''}".strip()))
    return rows


def _flags() -> dict[str, tuple[str, str]]:
    """Give the flag of ``sweep`` and its help for each key that has one."""
    sweep = typer.main.get_command(make_app()).commands["sweep"]  # type: ignore[attr-defined]  # it is a group
    options = {FLAG_KEYS.get(param.name, param.name): param for param in sweep.params}
    return {key: (param.opts[0], param.help or "") for key, param in options.items()}


def _section(model: type[BaseModel], key: str) -> type[BaseModel] | None:
    kind = model.model_fields[key].annotation
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def _attribute_docstrings(model: type[BaseModel]) -> dict[str, str]:
    """Read the docstrings below the attributes of a model; those it inherits count too."""
    found: dict[str, str] = {}
    for owner in reversed([kind for kind in model.__mro__ if issubclass(kind, BaseModel) and kind is not BaseModel]):
        (definition,) = ast.parse(textwrap.dedent(inspect.getsource(owner))).body
        assert isinstance(definition, ast.ClassDef)
        for line, below in zip(definition.body, definition.body[1:], strict=False):
            match line, below:
                case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                    found[name] = " ".join(text.split())
    return found


def _kind(schema: dict[str, Any]) -> str:
    """Say in words which values a JSON schema takes."""
    if "anyOf" in schema:
        return " or ".join(_kind(choice) for choice in schema["anyOf"] if choice.get("type") != "null")
    if "enum" in schema or "const" in schema:
        return ", ".join(schema.get("enum", [schema.get("const")]))
    if schema["type"] == "array":
        least = ", at least one" if schema.get("minItems") else ""
        return f"list{least}: {_kind(schema['items'])}" if "items" in schema else "list"
    if schema["type"] == "object":
        return "key: value pairs"
    limits = {words: schema[bound] for bound, words in BOUNDS.items() if bound in schema}
    bounds = [f"{words} {limit:g}" for words, limit in limits.items() if limit < LARGEST_EXACT]
    return ", ".join([KINDS[schema["type"]], *bounds])


def _value(value: Any) -> str:  # noqa: ANN401
    """Write a value as YAML on the command line has it."""
    return value if isinstance(value, str) else json.dumps(value)


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [columns, tuple("---" for _ in columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _code(words: str) -> str:
    return f"`{words}`".replace("|", "\\|")


def _text(words: str) -> str:
    """Take care that nothing in a sentence is read as HTML or as the end of a cell, but code in ``backticks`` is."""
    single = words.replace("``", "`")
    return re.sub(r"`[^`]*`|[<|]", lambda found: found[0] if found[0][0] == "`" else f"\\{found[0]}", single)


if __name__ == "__main__":
    for name, page in PAGES.items():
        (ROOT / "docs" / name).write_text(page(), encoding="utf-8")
        typer.echo(f"docs/{name}")
