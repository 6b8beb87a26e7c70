"""What a run is made of: pydantic models, and the one way from defaults, a file, ``--set`` and flags to a RunConfig.

Precedence: defaults < file < ``--set key=value`` < named flags. Unknown keys are refused with the nearest known one.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from .errors import ConfigError
from .languages import parse_language

Density = Annotated[float, Field(gt=0, le=1)]
PositiveInt = Annotated[int, Field(gt=0)]
Precision = Literal["auto", "fp32", "bf16"]


class Section(BaseModel):
    """A part of the configuration: immutable, and no key is taken that it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Vocabulary(Section):
    """Which tokens of the teacher's vocabulary a student keeps."""

    threshold: Annotated[float, Field(ge=0, lt=1)] = 1e-6
    """Keep a token whose relative frequency in either corpus is at least this."""
    keep_characters: bool = False
    """Also keep every single-character token of every script, so that no new word turns into the unknown token."""


class Packing(Section):
    """How corpora become fixed blocks of ids."""

    length: Annotated[int, Field(ge=8)] = 256
    held_out: Annotated[float, Field(gt=0, lt=1)] = 0.01
    """Share of the documents kept for measuring bits per character."""
    seed: int = 0


class Optimisation(Section):
    """What every training phase has in common."""

    batch_size: PositiveInt = 8
    accumulation: PositiveInt = 1
    """Micro-batches that a batch is cut into; changes memory, not the result."""
    lr: Annotated[float, Field(gt=0)] = 1e-4
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of the steps over which the learning rate rises from 0."""
    clip: Annotated[float, Field(gt=0)] = 1.0
    precision: Precision = "auto"
    """``auto`` is bf16 where the machine multiplies it natively, else fp32."""
    checkpoint_minutes: Annotated[float, Field(gt=0)] = 2.0


class Distillation(Optimisation):
    """Phase 1: the task-agnostic bilingual student."""

    steps: Annotated[int, Field(ge=0)] = 200_000
    mask: Annotated[float, Field(ge=0, lt=1)] = 0.15
    """Share of tokens corrupted in the input of teacher and student."""
    hidden_weight: Annotated[float, Field(ge=0)] = 1.0
    attention_weight: Annotated[float, Field(ge=0)] = 1.0
    layer_choice: Literal["regular", "bottom"] = "regular"
    evaluations: PositiveInt = 5
    """How often bits per character are measured, evenly spaced, the last time at the end."""


class TaskTeaching(Optimisation):
    """Fine-tuning of the teacher on the task, in the source language."""

    lr: Annotated[float, Field(gt=0)] = 5e-5
    epochs: Annotated[float, Field(gt=0)] = 3.0
    max_length: Annotated[int, Field(ge=8)] = 256


class TaskDistillation(Optimisation):
    """Phase 2: sparse fine-tuning of the student under the task teacher."""

    lr: Annotated[float, Field(gt=0)] = 5e-5
    dense_epochs: Annotated[float, Field(gt=0)] = 3.0
    """Full fine-tuning that decides which parameters may change."""
    sparse_epochs: Annotated[float, Field(gt=0)] = 10.0
    max_length: Annotated[int, Field(ge=8)] = 256
    temperature: Annotated[float, Field(gt=0)] = 2.0
    hidden_weight: Annotated[float, Field(ge=0)] = 1.0
    attention_weight: Annotated[float, Field(ge=0)] = 1.0
    logit_weight: Annotated[float, Field(ge=0)] = 1.0


class Pruning(Section):
    """Early stopping of phase-1 students by bits per character, among students of one language only."""

    enabled: bool = False
    grace: Annotated[float, Field(gt=0, le=1)] = 0.2
    """Share of the phase-1 tokens every student gets."""
    reduction: Annotated[int, Field(ge=2)] = 3


class Execution(Section):
    """Where and how wide a sweep runs; nothing here changes a result."""

    address: str | None = None
    workers: PositiveInt = 1
    gpus_per_worker: Annotated[float, Field(ge=0)] | None = None
    max_parallel: PositiveInt | None = None
    launcher: Literal["auto", "process", "train"] = "auto"
    """``train`` is Ray Train; ``process`` trains in the trial itself; ``auto`` is Ray Train but for one worker on a CPU machine."""


class RunConfig(Section):
    """A whole run: languages, teachers, data, the settings of each phase, and where it is carried out."""

    langs: Annotated[tuple[str, ...], Field(min_length=1)]
    source: str = "en"
    teachers: Annotated[tuple[str, ...], Field(min_length=1)]
    corpora: str
    text_column: str = "text"
    task: Literal["ner"] = "ner"
    task_data: str
    label_map: dict[str, str] = {}
    """Labels of the data renamed before use, such as ``DATE: O``."""
    task_teacher: str | dict[str, str] | None = None
    """A checkpoint already fine-tuned on the task, for one teacher, or per teacher."""
    layers: tuple[PositiveInt, ...] = ()
    """Layers of the student; empty means half of the teacher's."""
    densities: Annotated[tuple[Density, ...], Field(min_length=1)] = (0.08,)
    recipes: Annotated[tuple[Literal["bistil", "scratch"], ...], Field(min_length=1)] = ("bistil",)
    seeds: Annotated[tuple[int, ...], Field(min_length=1)] = (0,)
    storage: str = "runs"
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")] | None = None
    vocabulary: Vocabulary = Vocabulary()
    packing: Packing = Packing()
    distil: Distillation = Distillation()
    teach: TaskTeaching = TaskTeaching()
    finetune: TaskDistillation = TaskDistillation()
    pruning: Pruning = Pruning()
    execution: Execution = Execution()

    @field_validator("langs", "teachers", "layers", "densities", "recipes", "seeds", mode="before")
    @classmethod
    def _list(cls, value: Any) -> Any:  # noqa: ANN401
        if isinstance(value, str):
            value = [part.strip() for part in value.split(",") if part.strip()]
        if isinstance(value, int | float):
            value = [value]
        return list(dict.fromkeys(value)) if isinstance(value, list | tuple) else value

    @field_validator("langs")
    @classmethod
    def _languages(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(parse_language(code) for code in value))

    @field_validator("source")
    @classmethod
    def _source(cls, value: str) -> str:
        return parse_language(value)

    @field_validator("name")
    @classmethod
    def _free_name(cls, value: str | None) -> str | None:
        if value == "steps":
            raise ValueError("'steps' is the folder that runs share; choose another name")
        return value


# The short names under which flags of the command line reach nested keys.
FLAG_KEYS = {
    "address": "execution.address",
    "workers": "execution.workers",
    "gpus_per_worker": "execution.gpus_per_worker",
    "max_parallel": "execution.max_parallel",
}


def load_config(
    source: str | None = None,
    overrides: Sequence[str] = (),
    flags: Mapping[str, Any] | None = None,
    defaults: Mapping[str, Any] | None = None,
) -> RunConfig:
    """Put a run's configuration together.

    ``source`` is a YAML file or the name of a shipped configuration; ``overrides`` are ``key=value`` pairs with dotted
    keys and YAML values; ``flags`` are named flags, those that are None being left out; ``defaults`` stand below the
    file. Raises ConfigError with one line that names the key, the value, what is allowed and where it came from.
    """
    values: dict[str, Any] = dict(defaults or {})
    if source is not None:
        _merge(values, read_config(source))
    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals:
            raise ConfigError(f"--set {override!r} has no '=': write --set key=value, such as --set distil.steps=1000")
        try:
            _put(values, key.strip(), yaml.safe_load(text))
        except yaml.YAMLError as problem:
            raise ConfigError(f"--set {override!r}: the value is not YAML") from problem
    for flag, value in (flags or {}).items():
        if value is not None:
            _put(values, FLAG_KEYS.get(flag, flag), value)
    _refuse_unknown(values, RunConfig, "")
    try:
        config = RunConfig.model_validate(values)
    except ValidationError as problem:
        raise ConfigError(_one_line(problem)) from problem
    return config


def read_config(source: str) -> dict[str, Any]:
    """Read the YAML of a file or of a shipped configuration by name."""
    path = Path(source).expanduser()
    if path.suffix in {".yaml", ".yml"} or path.exists():
        if not path.is_file():
            raise ConfigError(f"--config {source!r}: no such file")
        text = path.read_text(encoding="utf-8")
    else:
        shipped = shipped_configs()
        if source not in shipped:
            hint = _nearest(source, shipped)
            raise ConfigError(f"--config {source!r} is neither a file nor one of {', '.join(sorted(shipped))}{hint}")
        text = shipped[source]
    try:
        values = yaml.safe_load(text) or {}
    except yaml.YAMLError as problem:
        raise ConfigError(f"--config {source!r} is not YAML: {' '.join(str(problem).split())}") from problem
    if not isinstance(values, dict):
        raise ConfigError(f"--config {source!r} must hold key: value pairs, but holds a {type(values).__name__}")
    return values


def shipped_configs() -> dict[str, str]:
    """Give the text of each configuration that comes with the package, by name."""
    folder = resources.files("bistil_ray.configs")
    return {
        entry.name.removesuffix(".yaml"): entry.read_text(encoding="utf-8")
        for entry in folder.iterdir()
        if entry.name.endswith(".yaml")
    }


def to_yaml(config: RunConfig) -> str:
    """Write the resolved configuration as YAML that ``load_config`` reads back."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def differences(old: RunConfig, new: RunConfig) -> list[str]:
    """Say which settings that change results differ, as ``key: old -> new`` lines."""
    before, after = (_flat(config.model_dump(mode="json", exclude={"execution", "name", "storage"})) for config in (old, new))
    return [f"{key}: {before.get(key)} -> {after.get(key)}" for key in sorted({*before, *after}) if before.get(key) != after.get(key)]


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


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


def _refuse_unknown(values: Mapping[str, Any], model: type[BaseModel], prefix: str) -> None:
    for key, value in values.items():
        field = model.model_fields.get(key)
        if field is None:
            raise ConfigError(f"unknown key {prefix + str(key)!r}{_nearest(str(key), model.model_fields, prefix)}")
        kind = field.annotation
        if isinstance(value, dict) and isinstance(kind, type) and issubclass(kind, BaseModel):
            _refuse_unknown(value, kind, f"{prefix}{key}.")


def _nearest(word: str, known: Mapping[str, Any], prefix: str = "") -> str:
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    if near:
        return f": did you mean {prefix + near[0]!r}?"
    return f" (known: {', '.join(sorted(known))})" if prefix else ""


def _one_line(problem: ValidationError) -> str:
    first = problem.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] == "missing":
        return f"{key} is not set: give it with --{key.replace('_', '-')}, --set {key}=... or in the configuration file"
    cause = first.get("ctx", {}).get("error")
    if isinstance(cause, ConfigError):
        return str(cause)
    message = str(cause) if cause is not None else first["msg"][0].lower() + first["msg"][1:]
    return f"{key} is {first['input']!r}: {message}"
