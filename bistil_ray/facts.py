"""What a plan needs to know of a run's inputs: where they lie, what they are, and the fingerprint of their content."""

from __future__ import annotations

from collections import Counter
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
    family: str

    @property
    def parameters(self) -> int:
        """Parameters of the whole teacher, nearly: matrices and word embeddings."""
        return self.body_parameters(self.layers) + self.vocab_size * self.hidden

    def body_parameters(self, layers: int, hidden: int | None = None) -> int:
        """Parameters of ``layers`` layers (matrices only), of this teacher's width or narrowed to ``hidden`` units."""
        width = hidden or self.hidden
        return layers * (4 * width**2 + 2 * width * (self.intermediate * width // self.hidden))


@dataclass(frozen=True)
class TaskFacts:
    """The labelled data of a run: files by language and split, the labels of the source's training split.

    ``train_tokens`` estimates the tokens of the training splits, by how many are seen at once and by language.
    ``given`` holds checkpoints that are already fine-tuned on the task, by teacher name.
    """

    files: Mapping[str, Mapping[str, Input]]
    train_tokens: Mapping[int, Mapping[str, int]]
    labels: Sequence[str]
    given: Mapping[str, Input] = field(default_factory=dict)


@dataclass(frozen=True)
class Facts:
    """Everything a plan needs to know of the world: teachers, corpora, labelled data, given SFTs by language."""

    teachers: Sequence[TeacherFacts]
    corpora: Mapping[str, Input]
    task: TaskFacts
    language_sfts: Mapping[str, Input] = field(default_factory=dict)


def display_names(places: Sequence[str]) -> dict[str, str]:
    """Name each teacher by the last part of its place, or by the whole of it where two end alike."""
    last = {place: place.rstrip("/").split("/")[-1] for place in places}
    clashes = Counter(last.values())
    return {place: name if clashes[name] == 1 else place for place, name in last.items()}
