"""Where a run's configuration comes from: defaults < a file or shipped configuration < ``--set key=value`` < flags.

Unknown keys are refused with the nearest known one; every error is one line that names the key and where it stands.
"""

from __future__ import annotations

import difflib
import reprlib
from collections.abc import Iterator, Mapping, Sequence
from importlib import resources
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from .config import RunConfig, RunDraft
from .credentials import ENVIRONMENT, holds_credentials
from .errors import ConfigError, first_line
from .storage import local_path

# Flags of the command line that are not named after the key they set.
FLAG_KEYS = {
    "lang": "langs",
    "teacher": "teachers",
    "recipe": "recipes",
    "density": "densities",
    "seed": "seeds",
    "address": "execution.address",
    "workers": "execution.workers",
    "gpus_per_worker": "execution.gpus_per_worker",
    "max_parallel": "execution.max_parallel",
    "share_teacher": "execution.share_teacher",
    "top_k": "merge.top_k",
    "threshold": "merge.threshold",
    "body": "merge.body",
}

# Words for what pydantic says less plainly, by its name of the mistake.
ALLOWED = {
    "too_short": "must name at least one",
    "model_type": "must hold key: value pairs",
    "tuple_type": "must be a list",
}

# A value in an error: enough to know it again, however large it is.
_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 200

Config = TypeVar("Config", bound=RunConfig)


def load_config(
    source: str | None = None,
    overrides: Sequence[str] = (),
    flags: Mapping[str, Any] | None = None,
    defaults: Mapping[str, Any] | None = None,
) -> RunConfig:
    """Put a run's configuration together.

    ``source`` is a YAML file or the name of a shipped configuration; ``overrides`` are ``key=value`` pairs with dotted
    keys and YAML values; ``flags`` are named flags, those that are None being left out; ``defaults`` stand below the
    file. Raises ConfigError with one line that names the key, the value and what is allowed.
    """
    flags = flags or {}
    return _validated(RunConfig, _gathered(source, overrides, flags, defaults or {}), flags)


def load_draft(
    source: str | None = None, overrides: Sequence[str] = (), flags: Mapping[str, Any] | None = None
) -> RunDraft:
    """As ``load_config``, but languages, teachers, corpora and task data may be left to be given later."""
    flags = flags or {}
    return _validated(RunDraft, _gathered(source, overrides, flags, {}), flags)


def read_config(source: str) -> dict[str, Any]:
    """Read the YAML of a file or of a shipped configuration by name."""
    values = parse_yaml(_config_text(source), f"--config {source!r}")
    if values is not None and not isinstance(values, dict):
        raise ConfigError(f"--config {source!r} must hold key: value pairs, but holds a {type(values).__name__}")
    return values or {}


def shipped_configs() -> dict[str, str]:
    """Give the text of each configuration that comes with the package, by name."""
    folder = resources.files("bistil_ray.configs")
    return {
        entry.name.removesuffix(".yaml"): entry.read_text(encoding="utf-8")
        for entry in folder.iterdir()
        if entry.name.endswith(".yaml")
    }


def parse_yaml(text: str, what: str) -> Any:  # noqa: ANN401
    """Parse YAML; ConfigError, naming ``what``, for what is none.

    So it is for values that only look like dates or numbers, and for what is nested too deeply.
    """
    try:
        return yaml.safe_load(text)
    except yaml.MarkedYAMLError as problem:
        line = "" if problem.problem_mark is None else f" in line {problem.problem_mark.line + 1}"
        raise ConfigError(f"{what} is not YAML: {problem.problem or problem.context}{line}") from problem
    except (yaml.YAMLError, ValueError, RecursionError) as problem:
        raise ConfigError(f"{what} is not YAML: {first_line(problem)}") from problem


def _config_text(source: str) -> str:
    path = local_path(source)
    if path.is_file():
        try:
            return path.read_text(encoding="utf-8")
        except OSError as problem:
            raise ConfigError(f"--config {source!r} cannot be read: {problem.strerror}") from problem
        except UnicodeDecodeError as problem:
            raise ConfigError(f"--config {source!r} is not YAML: no text in UTF-8 ({problem.reason})") from problem
    shipped = shipped_configs()
    if source in shipped:
        return shipped[source]
    if path.suffix in {".yaml", ".yml"}:
        raise ConfigError(f"--config {source!r}: no such file")
    near = _did_you_mean(difflib.get_close_matches(source, shipped, n=1))
    raise ConfigError(f"--config {source!r} is neither a file nor one of {', '.join(sorted(shipped))}{near}")


def _gathered(
    source: str | None, overrides: Sequence[str], flags: Mapping[str, Any], defaults: Mapping[str, Any]
) -> dict[str, Any]:
    values: dict[str, Any] = dict(defaults)
    if source is not None:
        _merge(values, read_config(source))
        _refuse_unknown(values, f"--config {source}")
    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals:
            raise ConfigError(f"--set {override!r} has no '=': write --set key=value, such as --set distil.steps=1000")
        _put(values, key.strip(), parse_yaml(text, f"--set {override!r}: the value"))
        _refuse_unknown(values, f"--set {override}")
    for flag, value in flags.items():
        if value is not None:
            _put(values, FLAG_KEYS.get(flag, flag), value)
    return values


def _merge(into: dict[str, Any], values: Mapping[str, Any]) -> None:
    for key, value in values.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            into[key] = dict(into[key])
            _merge(into[key], value)
        else:
            into[key] = value


def _put(values: dict[str, Any], key: str, value: Any) -> None:  # noqa: ANN401
    *path, last = key.split(".")
    for part in path:
        inner = values.get(part)
        values[part] = dict(inner) if isinstance(inner, dict) else {}
        values = values[part]
    values[last] = value


def _refuse_unknown(
    values: Mapping[str, Any], where: str, model: type[BaseModel] = RunConfig, prefix: str = ""
) -> None:
    for key, value in values.items():
        if key not in model.model_fields:
            raise ConfigError(f"unknown key {f'{prefix}{key}'!r} in {where}{_nearest_key(str(key), model, prefix)}")
        section = _section(model, key)
        if section is not None and isinstance(value, dict):
            _refuse_unknown(value, where, section, f"{prefix}{key}.")


def _nearest_key(word: str, model: type[BaseModel], prefix: str) -> str:
    """Look for what was meant: in this section keys that end in the word, the word in others, then what is near."""
    beside = [prefix + key for key in model.model_fields if prefix and key.endswith(f"_{word}")]
    elsewhere = [key for key in _all_keys(RunConfig) if key.rpartition(".")[2] == word]
    near = [prefix + key for key in difflib.get_close_matches(word, model.model_fields, n=1)]
    return _did_you_mean(beside or elsewhere or near) or f" (known: {', '.join(model.model_fields)})"


def _did_you_mean(candidates: Sequence[str]) -> str:
    return f": did you mean {' or '.join(map(repr, candidates))}?" if candidates else ""


def _all_keys(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for key in model.model_fields:
        yield prefix + key
        section = _section(model, key)
        if section is not None:
            yield from _all_keys(section, f"{prefix}{key}.")


def _section(model: type[BaseModel], key: str) -> type[BaseModel] | None:
    kind = model.model_fields[key].annotation
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def _validated(model: type[Config], values: Mapping[str, Any], flags: Mapping[str, Any]) -> Config:
    for key, value in values.items():
        for text in _texts(value, set()):
            if holds_credentials(text):
                raise ConfigError(f"{_flag_of(key, flags) or key} holds credentials: {ENVIRONMENT}")
            if text != text.encode("utf-8", "replace").decode():
                raise ConfigError(f"{_flag_of(key, flags) or key} is {text!r}: it must be UTF-8, as a run's files are")
    try:
        return model.model_validate(values, context={FLAG_KEYS.get(name, name): _as_flag(name) for name in flags})
    except ValidationError as problem:
        raise ConfigError(_first_mistake(problem, flags)) from problem


def _texts(value: Any, seen: set[int]) -> Iterator[str]:  # noqa: ANN401
    """Every text in a value, whatever it is nested in; what YAML repeats by reference once."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list | tuple) and id(value) not in seen:
        seen.add(id(value))
        for part in [*value, *value.values()] if isinstance(value, dict) else value:
            yield from _texts(part, seen)


def _first_mistake(problem: ValidationError, flags: Mapping[str, Any]) -> str:
    first = problem.errors()[0]
    key = ".".join(_known_path(first["loc"]))
    flag = _flag_of(key, flags)
    if first["type"] == "missing":
        return f"{key} is not set: give it with {flag or f'--set {key}=...'} or in the configuration file"
    cause = first.get("ctx", {}).get("error")
    if isinstance(cause, ConfigError):
        return str(cause)
    return told_plainly(flag or key, first)


def told_plainly(what: str, mistake: ErrorDetails) -> str:
    """Say of a mistake that pydantic found in ``what``, a flag or a key, its value and what is allowed."""
    value, cause = mistake["input"], mistake.get("ctx", {}).get("error")
    allowed = str(cause or ALLOWED.get(mistake["type"]) or mistake["msg"].replace("Input should", "must"))
    allowed = allowed.replace(f"{value!r} is not", "must be").rstrip(".")
    if isinstance(value, bool):
        allowed += " (YAML reads a bare no, off, yes or on as a truth value: put it in quotes)"
    return f"{what} is {_SHORT.repr(value)}: {allowed}"


def _flag_of(key: str, flags: Mapping[str, Any]) -> str | None:
    return next((_as_flag(name) for name in flags if FLAG_KEYS.get(name, name) == key), None)


def _as_flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _known_path(place: Sequence[str | int]) -> Iterator[str]:
    """The keys on the way to a mistake, without indices and alternatives of a type."""
    model: type[BaseModel] | None = RunConfig
    for part in place:
        if model is None or part not in model.model_fields:
            return
        yield str(part)
        model = _section(model, str(part))
