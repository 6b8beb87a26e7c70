"""The sections of a configuration: the settings of each phase and of carrying a run out, their types and bounds."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from .errors import ConfigError
from .languages import parse_language

Density = Annotated[float, Field(gt=0, le=1)]
# Below what a float holds exactly: estimates are made in floats, and generators take no larger seed.
PositiveInt = Annotated[int, Field(gt=0, lt=2**53)]
NonNegativeInt = Annotated[int, Field(ge=0, lt=2**53)]
Precision = Literal["auto", "fp32", "bf16"]


class Section(BaseModel):
    """A part of the configuration: immutable, and no key is taken that it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Vocabulary(Section):
    """Which tokens of the teacher's vocabulary a student keeps."""

    threshold: Annotated[float, Field(ge=0, lt=1)] = 1e-6
    """Keep a token whose relative frequency in either corpus is at least this."""
    keep_characters: bool = False
    """Also keep every single-character token of every script, so that no new word turns into the unknown token."""


class Packing(Section):
    """How corpora become fixed blocks of ids."""

    length: Annotated[int, Field(ge=8)] = 256
    """Tokens in a block."""
    held_out: Annotated[float, Field(gt=0, lt=1)] = 0.01
    """Share of the documents kept for measuring bits per character."""
    max_megabytes: PositiveInt | None = 1_000
    """Text of a language that is counted and packed, about; of a larger corpus row groups are drawn at random. The
    paper's phase 1 reads 205 million tokens a language, some 800 MB. ``null`` for all of it."""
    seed: NonNegativeInt = 0
    """Seed of the choice of held-out documents, and of what is drawn from large corpora."""


class Optimisation(Section):
    """What every training phase has in common."""

    batch_size: PositiveInt = 8
    """Blocks or examples in a step of the optimiser, over all workers."""
    accumulation: PositiveInt = 1
    """Micro-batches that a batch is cut into; changes memory, not the result."""
    lr: Annotated[float, Field(gt=0)] = 1e-4
    """Peak learning rate; it falls to 0 in a line."""
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of the steps over which the learning rate rises from 0."""
    clip: Annotated[float, Field(gt=0)] = 1.0
    """Largest norm of the gradients."""
    precision: Precision = "auto"
    """``auto`` is bf16 where the machine multiplies it natively, else fp32."""
    checkpoint_minutes: Annotated[float, Field(gt=0)] = 2.0
    """How much work an interruption can cost at most."""

    @property
    def common(self) -> Optimisation:
        """These settings without those that belong to one phase alone."""
        return Optimisation(**{name: getattr(self, name) for name in Optimisation.model_fields})


# Settings of every phase that change memory and safety, but no result.
RUNTIME_SETTINGS = ("accumulation", "checkpoint_minutes")


class Distillation(Optimisation):
    """Phase 1: the task-agnostic bilingual student."""

    steps: NonNegativeInt = 200_000
    """Steps of the optimiser; 0 leaves the student as it was built."""
    mask: Annotated[float, Field(ge=0, lt=1)] = 0.15
    """Share of tokens corrupted in the input of teacher and student; at 0 those who predict tokens take 0.15."""
    hidden_weight: Annotated[float, Field(ge=0)] = 1.0
    """Weight of the distance of hidden states in the loss."""
    attention_weight: Annotated[float, Field(ge=0)] = 1.0
    """Weight of the distance of attention maps in the loss."""
    logit_weight: Annotated[float, Field(ge=0)] = 0.0
    """Recipes bistil, bistil+, nodistil: weight of the distance from the teacher's predictions of corrupted tokens."""
    label_weight: Annotated[float, Field(ge=0)] = 0.0
    """The same recipes: weight of the corrupted tokens themselves (masked language modelling) in the loss."""
    temperature: Annotated[float, Field(gt=0)] = 2.0
    """Of both softmaxes in the loss between predictions."""
    layer_choice: Literal["regular", "bottom", "top", "distilbert"] | tuple[NonNegativeInt, ...] = "regular"
    """Which of the teacher's layers students of bistil, bistil+ and nodistil start from: the last of each group, the
    first ones, the last ones, evenly from the first to the last (distilbert), or these, counted from 0."""
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
    """Adapt the teacher in a sweep."""
    lr: Annotated[float, Field(gt=0)] = 5e-5
    density: Density = 0.04
    """Share of the encoder that a language's SFT may change."""
    dense_steps: PositiveInt = 10_000
    """Full tuning that decides which parameters may change; left out at density 1, where all may."""
    sparse_steps: PositiveInt = 10_000
    """Tuning of those parameters."""
    mask: Annotated[float, Field(gt=0, lt=1)] = 0.15
    """Share of tokens to predict."""
    l1: Annotated[float, Field(ge=0)] = 0.1
    """Strength of the pull towards the teacher's own weights."""
    freeze: tuple[Literal["layer_norm", "output_embedding"], ...] = ("layer_norm", "output_embedding")
    """Parts that never change."""
    seed: NonNegativeInt = 0


class TaskTeaching(Optimisation):
    """Fine-tuning of the teacher on the task."""

    lr: Annotated[float, Field(gt=0)] = 5e-5
    density: Density | None = None
    """Tune so large a share of the encoder (LT-SFT, as published); all of it if not given."""
    epochs: Annotated[float, Field(gt=0)] = 3.0
    """Full fine-tuning, which with a density decides which parameters may change."""
    sparse_epochs: Annotated[float, Field(gt=0)] = 10.0
    """With a density: tuning of those parameters."""
    max_length: Annotated[int, Field(ge=8)] = 256
    """Longest example in tokens; what is over is cut off, or read in windows by qa."""


class TaskDistillation(Optimisation):
    """Phase 2: sparse fine-tuning of the student under the task teacher."""

    lr: Annotated[float, Field(gt=0)] = 5e-5
    dense_epochs: Annotated[float, Field(gt=0)] = 3.0
    """Full fine-tuning that decides which parameters may change; left out at density 1, where all may."""
    sparse_epochs: Annotated[float, Field(gt=0)] = 10.0
    """Tuning of those parameters."""
    max_length: Annotated[int, Field(ge=8)] = 256
    """As that of the task teacher."""
    temperature: Annotated[float, Field(gt=0)] = 2.0
    """Of both softmaxes in the loss between logits."""
    hidden_weight: Annotated[float, Field(ge=0)] = 1.0
    """Weight of the distance of hidden states in the loss."""
    attention_weight: Annotated[float, Field(ge=0)] = 1.0
    """Weight of the distance of attention maps in the loss."""
    logit_weight: Annotated[float, Field(ge=0)] = 1.0
    """Weight of the distance of logits in the loss."""
    label_weight: Annotated[float, Field(ge=0)] = 0.0
    """Weight of the labels themselves in the loss, beside what the teacher makes of them."""
    text_share: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of the batches that are plain text of the target language, on which the student learns what the teacher
    makes of it; of as many tokens as the labelled ones, in whose place they are."""
    average: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Share of the steps, the last ones, whose weights are averaged; at 0 those of the very last step are kept."""


class Merging(Optimisation):
    """MergeDistill: one student of many teachers, by their predictions for masked tokens."""

    steps: PositiveInt = 100_000
    """Steps of the optimiser."""
    threshold: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Keep a token whose relative frequency in a language's text, as its teacher splits it, is at least this."""
    mask: Annotated[float, Field(gt=0, lt=1)] = 0.15
    """Share of tokens to predict."""
    seed: NonNegativeInt = 0
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
    """How often bits per character are measured."""
    body: str | None = None
    """The teacher whose layers the student starts from, by place or name; they start from chance if not given."""
    assignments: tuple[dict[str, str], ...] = ()
    """Recipe mergedistill: the teacher of each language, such as ``[{en: A, sw: B}]``; all there are if not given."""
    max_assignments: PositiveInt = 16
    """Recipe mergedistill: of more assignments than this a sample is taken, with those of one teacher for all."""

    @field_validator("assignments")
    @classmethod
    def _languages(cls, value: tuple[dict[str, str], ...]) -> tuple[dict[str, str], ...]:
        return tuple({parse_language(code, "merge.assignments"): name for code, name in one.items()} for one in value)

    @model_validator(mode="after")
    def _fitting(self) -> Self:
        if self.rest and self.kept == "drawn":
            raise ConfigError("merge.rest is true, but merge.kept=drawn knows of no rest: leave one of them out")
        return self


class Pruning(Section):
    """Early stopping of phase-1 students by bits per character, among students that differ in their teachers alone."""

    enabled: bool = False
    """Let students pause to be compared, and stop the worse ones."""
    grace: Annotated[float, Field(gt=0, le=1)] = 0.2
    """Share of the phase-1 tokens after which they are compared first."""
    reduction: Annotated[int, Field(ge=2)] = 3
    """Of so many students one goes on, rounded down; the next comparison comes after so many times the tokens."""


class Execution(Section):
    """Where and how wide a sweep runs; nothing here changes a result."""

    address: str | None = None
    workers: PositiveInt = 1
    """Training processes for each step."""
    gpus_per_worker: Annotated[float, Field(ge=0)] | None = None
    max_parallel: PositiveInt | None = None
    autoscaling: bool = False
    """The cluster starts nodes when they are asked for: count on ``max_parallel`` steps, whatever is there now."""
    launcher: Literal["auto", "process", "train"] = "auto"
    """``train`` is Ray Train, ``process`` the trial itself; ``auto`` is ``train`` where a step has several workers."""
    share_teacher: bool = False
    """Train what sees the same batches in one process, where the teacher reads each batch once for all: in phase 1 the
    students of one teacher, language and seed; in phase 2 the densities of one student, whose dense epochs are done
    once for all."""

    @field_validator("gpus_per_worker")
    @classmethod
    def _ray_has_it(cls, value: float | None) -> float | None:
        if value is not None and value > 1 and value != int(value):
            raise ValueError("must be a share of a GPU, from 0 to 1, or a whole number of them")
        return value


class Tracking(Section):
    """Which experiment trackers are told of finished steps; nothing here changes a result."""

    to: tuple[Literal["tensorboard", "mlflow", "wandb"], ...] = ("tensorboard",)
    """Which ones; ``[]`` for none."""
    mlflow_uri: str | None = None
    """MLflow's server or database; MLFLOW_TRACKING_URI, or a file in the run's folder, if not given."""
    project: str | None = None
    """The experiment of MLflow, the project of Weights & Biases; named as the run if not given."""

    @field_validator("to", mode="before")
    @classmethod
    def _listed(cls, value: object) -> object:
        """Take ``a,b`` for a list, as ``--set`` gives it."""
        return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value
