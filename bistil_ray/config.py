"""What a run is made of, as a pydantic model; its sections are in ``settings.py``.

``config_sources.py`` puts one together from files, ``--set`` and flags.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import Field, ValidationInfo, field_validator, model_validator

from .errors import ConfigError
from .languages import parse_language
from .settings import (
    RUNTIME_SETTINGS,
    Adaptation,
    Density,
    Distillation,
    Execution,
    Merging,
    NonNegativeInt,
    Packing,
    PositiveInt,
    Pruning,
    Section,
    TaskDistillation,
    TaskTeaching,
    Tracking,
    Vocabulary,
)

Names = Annotated[tuple[str, ...], Field(min_length=1)]
RecipeName = Literal["bistil", "scratch", "distilmbert", "minilmv2", "nodistil", "bistil+", "teacher", "mergedistill"]

# Folders of a storage that are no runs.
RESERVED_NAMES = ("steps", "sample")


class RunConfig(Section):
    """A whole run: languages, teachers, data, the settings of each phase, and where it is carried out."""

    langs: Names
    source: str = "en"
    teachers: Names
    corpora: str
    text_column: str = "text"
    task: Literal["ner", "pos", "dep", "nli", "qa", "topic", "sentiment"] = "ner"
    task_data: str
    task_sources: tuple[str, ...] = ()
    """Languages whose labels are learned from, the source among them; empty means the source alone."""
    label_map: dict[str, str] = {}
    """Labels of the data renamed before use, such as ``DATE: O``."""
    task_teacher: str | dict[str, str] | None = None
    """A checkpoint already fine-tuned on the task, for one teacher, or per teacher."""
    language_sfts: str | dict[str, str] | None = None
    """Language SFTs that exist already, by language or as a place with ``{lang}`` in it: composable-sft's or ours."""
    layers: tuple[PositiveInt, ...] = ()
    """Layers of the student; empty means half of the teacher's."""
    hidden: tuple[PositiveInt, ...] = ()
    """Hidden units of the student; empty means the teacher's."""
    densities: Annotated[tuple[Density, ...], Field(min_length=1)] = (0.08,)
    recipes: Annotated[tuple[RecipeName, ...], Field(min_length=1)] = ("bistil",)
    seeds: Annotated[tuple[NonNegativeInt, ...], Field(min_length=1)] = (0,)
    storage: str = "runs"
    name: str | None = None
    vocabulary: Vocabulary = Vocabulary()
    packing: Packing = Packing()
    adapt: Adaptation = Adaptation()
    distil: Distillation = Distillation()
    teach: TaskTeaching = TaskTeaching()
    finetune: TaskDistillation = TaskDistillation()
    merge: Merging = Merging()
    pruning: Pruning = Pruning()
    execution: Execution = Execution()
    tracking: Tracking = Tracking()

    @field_validator(
        "langs", "task_sources", "teachers", "layers", "hidden", "densities", "recipes", "seeds", mode="before"
    )
    @classmethod
    def _listed(cls, value: Any) -> Any:  # noqa: ANN401
        """Take ``a,b`` and a lone value for lists, as flags give them."""
        if isinstance(value, str):
            return [part.strip() for part in value.split(",") if part.strip()]
        return [value] if isinstance(value, int | float) else value

    @field_validator("langs", "task_sources")
    @classmethod
    def _languages(cls, value: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        """Give the codes their one spelling; the context holds the flags that set keys, for errors to name."""
        key = str(info.field_name)
        return tuple(parse_language(code, (info.context or {}).get(key, key)) for code in value)

    @field_validator("langs", "task_sources", "teachers", "layers", "hidden", "densities", "recipes", "seeds")
    @classmethod
    def _each_once(cls, value: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(dict.fromkeys(value))

    @field_validator("source")
    @classmethod
    def _source(cls, value: str) -> str:
        return parse_language(value, "--source")

    @model_validator(mode="after")
    def _fitting(self) -> Self:
        if self.task_sources and self.source not in self.task_sources:
            raise ConfigError(
                f"--task-sources {','.join(self.task_sources)} lacks the source language {self.source!r}: add it"
            )
        if self.execution.share_teacher and self.execution.workers > 1:
            raise ConfigError(
                f"--share-teacher trains several students in one process, --workers {self.execution.workers} one in "
                "several: leave one of them out"
            )
        if self.execution.share_teacher and self.pruning.enabled:
            raise ConfigError(
                "--share-teacher trains students to the end side by side, and pruning.enabled=true would stop single "
                "ones: leave one of them out"
            )
        return self

    @property
    def taught_in(self) -> tuple[str, ...]:
        """The languages whose labels are learned from, the source first."""
        return tuple(dict.fromkeys((self.source, *self.task_sources)))

    @property
    def languages(self) -> tuple[str, ...]:
        """All languages of the run, each once: those whose labels are learned from, then the targets."""
        return tuple(dict.fromkeys((*self.taught_in, *self.langs)))

    @field_validator("name")
    @classmethod
    def _free_name(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", value):
            raise ValueError("must be letters, digits, '.', '_' and '-', and begin with a letter or digit")
        if value in RESERVED_NAMES:
            raise ValueError("the storage has a folder of that name for all runs; choose another one")
        return value


class RunDraft(RunConfig):
    """A configuration of which some keys are still to be given, as in shipped files that leave the data to flags."""

    langs: Names = ()
    teachers: Names = ()
    corpora: str = ""
    task_data: str = ""

    @property
    def still_to_give(self) -> tuple[str, ...]:
        """The keys that a run needs and that nobody has given."""
        fields = RunConfig.model_fields.items()
        return tuple(key for key, field in fields if field.is_required() and key not in self.model_fields_set)


def to_yaml(config: RunConfig) -> str:
    """Write the resolved configuration as YAML that ``load_config`` reads back; what a draft lacks is left out."""
    missing = set(config.still_to_give) if isinstance(config, RunDraft) else None
    return yaml.safe_dump(config.model_dump(mode="json", exclude=missing), sort_keys=False, allow_unicode=True)


def result_settings(config: RunConfig) -> dict[str, Any]:
    """Give the settings that change results, flat: not where, how wide or in what portions the run is carried out."""
    settings = _flat(config.model_dump(mode="json", exclude={"execution", "name", "storage", "tracking"}))
    return {key: value for key, value in settings.items() if key.rpartition(".")[2] not in RUNTIME_SETTINGS}


def differences(old: RunConfig, new: RunConfig) -> list[str]:
    """Say which settings that change results differ, as ``key: old -> new`` lines."""
    before, after = result_settings(old), result_settings(new)
    changed = sorted(key for key in {*before, *after} if before.get(key) != after.get(key))
    return [f"{key}: {_shown(before.get(key))} -> {_shown(after.get(key))}" for key in changed]


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _shown(value: Any) -> str:  # noqa: ANN401
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)
