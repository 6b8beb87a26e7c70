"""What a plan needs to know of a run's inputs: where they lie, what they are, and the fingerprint of their content."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Input:
    """Something a step reads from outside: where it is, and the fingerprint of its content."""

    uri: str
    fingerprint: str


@dataclass(frozen=True)
class TeacherFacts:
    """What the plan needs to know of a teacher."""

    name: str
    model: Input
    tokenizer: Input
    layers: int
    hidden: int
    intermediate: int
    vocab_size: int

    @property
    def parameters(self) -> int:
        """Parameters of the whole teacher, nearly: matrices and word embeddings."""
        return self.body_parameters(self.layers) + self.vocab_size * self.hidden

    def body_parameters(self, layers: int) -> int:
        """Parameters of ``layers`` transformer layers of this teacher's width (matrices only)."""
        return layers * (4 * self.hidden**2 + 2 * self.hidden * self.intermediate)


@dataclass(frozen=True)
class TaskFacts:
    """The labelled data of a run: files by language and split, and what the source's training split holds.

    ``given`` holds checkpoints that are already fine-tuned on the task, by teacher name.
    """

    files: Mapping[str, Mapping[str, Input]]
    train_rows: int
    labels: Sequence[str]
    given: Mapping[str, Input] = field(default_factory=dict)


@dataclass(frozen=True)
class Facts:
    """Everything a plan needs to know of the world: teachers, corpora by language, labelled data."""

    teachers: Sequence[TeacherFacts]
    corpora: Mapping[str, Input]
    task: TaskFacts
