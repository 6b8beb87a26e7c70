"""What a run is made of: the settings there are, their types and bounds, as pydantic models.

``config_sources.py`` puts one together from files, ``--set`` and flags.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from .errors import ConfigError
from .languages import parse_language

Density = Annotated[float, Field(gt=0, le=1)]
PositiveInt = Annotated[int, Field(gt=0)]
NonNegativeInt = Annotated[int, Field(ge=0)]
Names = Annotated[tuple[str, ...], Field(min_length=1)]
Precision = Literal["auto", "fp32", "bf16"]
RecipeName = Literal["bistil", "scratch", "distilmbert", "minilmv2", "nodistil", "teacher"]


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


# Settings of every phase that change memory and safety, but no result.
RUNTIME_SETTINGS = ("accumulation", "checkpoint_minutes")


class Distillation(Optimisation):
    """Phase 1: the task-agnostic bilingual student."""

    steps: Annotated[int, Field(ge=0)] = 200_000
    mask: Annotated[float, Field(ge=0, lt=1)] = 0.15
    """Share of tokens corrupted in the input of teacher and student."""
    hidden_weight: Annotated[float, Field(ge=0)] = 1.0
    attention_weight: Annotated[float, Field(ge=0)] = 1.0
    layer_choice: Literal["regular", "bottom", "top", "distilbert"] | tuple[NonNegativeInt, ...] = "regular"
    """Which of the teacher's layers the student starts from: the last of each group, the first ones, the last ones, or
    these, counted from 0."""
    embedding_rank: PositiveInt | None = None
    """Factorise the embeddings to so many dimensions: most of a small student's size is in them."""
    relation_heads: PositiveInt | None = None
    """Recipe minilmv2: heads that its relations are computed in; heads of 16 units if not given."""
    relation_layer: NonNegativeInt | None = None
    """Recipe minilmv2: the teacher's layer to learn from, counted from 0; its last if not given."""
    evaluations: PositiveInt = 5
    """How often bits per character are measured, evenly spaced, the last time at the end."""


class Adaptation(Optimisation):
    """Sparse fine-tuning of the teacher to each language, by masked language modelling, before phase 1."""

    enabled: bool = False
    lr: Annotated[float, Field(gt=0)] = 5e-5
    density: Density = 0.04
    """Share of the encoder that a language's SFT may change."""
    dense_steps: PositiveInt = 10_000
    sparse_steps: PositiveInt = 10_000
    mask: Annotated[float, Field(gt=0, lt=1)] = 0.15
    l1: Annotated[float, Field(ge=0)] = 0.1
    """Strength of the pull towards the teacher's own weights."""
    freeze: tuple[Literal["layer_norm", "output_embedding"], ...] = ("layer_norm", "output_embedding")
    seed: int = 0


class TaskTeaching(Optimisation):
    """Fine-tuning of the teacher on the task."""

    lr: Annotated[float, Field(gt=0)] = 5e-5
    density: Density | None = None
    """Tune so large a share of the encoder (LT-SFT, as published); all of it if not given."""
    epochs: Annotated[float, Field(gt=0)] = 3.0
    """Full fine-tuning, which with a density decides which parameters may change."""
    sparse_epochs: Annotated[float, Field(gt=0)] = 10.0
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


class Merging(Optimisation):
    """MergeDistill: one student of many teachers, by their predictions for masked tokens."""

    steps: PositiveInt = 100_000
    mask: Annotated[float, Field(gt=0, lt=1)] = 0.15
    seed: int = 0
    """Seed of the masking: predictions are made once for each."""
    top_k: PositiveInt = 8
    """Tokens that are kept of a prediction."""
    kept: Literal["likeliest", "drawn"] = "likeliest"
    """Which: the k most likely ones, or k drawn from the prediction, which are it on average and need a larger k."""
    mlm_weight: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Share of masked language modelling in the loss; the rest is the distance from the teacher's predictions."""
    rest: bool = False
    """Count what a teacher gives to all other tokens as one more outcome, instead of scaling its top k to 1."""
    evaluations: PositiveInt = 5

    @model_validator(mode="after")
    def _fitting(self) -> Self:
        if self.rest and self.kept == "drawn":
            raise ConfigError("merge.rest is true, but merge.kept=drawn knows of no rest: leave one of them out")
        return self


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
    """``train`` is Ray Train, ``process`` the trial itself; ``auto`` is ``process`` for one worker on a CPU machine."""


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
    def _languages(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(parse_language(code) for code in value)

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
        return self

    @property
    def taught_in(self) -> tuple[str, ...]:
        """The languages whose labels are learned from, the source first."""
        return tuple(dict.fromkeys((self.source, *self.task_sources)))

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
    settings = _flat(config.model_dump(mode="json", exclude={"execution", "name", "storage"}))
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
