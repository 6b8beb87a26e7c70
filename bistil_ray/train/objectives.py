"""What each training phase minimises: thin compositions of the losses over a teacher and a student.

Every loss term names the count it is divided by, so that the loop can pass the count of the whole batch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor
from torch.func import functional_call
from transformers import PreTrainedModel
from transformers.utils import ModelOutput

from ..data.masking import IGNORED
from ..errors import ConfigError
from ..losses.attention import attention_mse, attention_mse_of_vectors, group_heads
from ..losses.hidden import hidden_mse
from ..losses.logits import label_cross_entropy, soft_cross_entropy
from ..losses.precision import at_least_float32
from ..models.families import family_of
from ..models.heads import model_inputs
from ..models.layers import Alignment
from ..models.look import Look, Places, Wanted, look_at
from ..models.states import Observed
from ..sparse.delta import SparseDelta
from ..teachers.adapted import shifted_parameters
from .phase import Batch, Counts

PLAIN = "plain"
"""The field by which a batch of text without labels is told from examples."""


class Decisions(Protocol):
    """How the decisions of a head and their right answers are found; a task is one (see ``tasks/task.py``)."""

    def targets(self, batch: Batch) -> dict[str, Tensor]:
        """Give, for each decision, the right answers (N,) of a batch, ``IGNORED`` where there is none."""

    def logits(self, output: ModelOutput, batch: Batch) -> dict[str, Tensor]:
        """Give the logits (N, choices) of the same decisions, row for row those of ``targets``."""


@dataclass
class Distillation:
    """BISTIL's objectives: hidden and attention states of phase 1 and, with logits, the task distillation of phase 2.

    ``weights`` holds ``hidden``, ``attention``, ``logits`` and ``labels``; a term of weight 0 is not computed.
    ``teachers`` is one model, or one for each language: then a batch says by ``language`` which. ``projections``
    (D_teacher, D_student), one for each aligned state, make targets for a narrower student. ``decisions`` are those of
    the head: the soft cross-entropy with the teacher's (``logits``) and the cross-entropy with the right answers
    (``labels``, which the paper leaves out) run over decisions that have a right answer and are summed over kinds of
    them. ``places`` says which positions (BT) of a batch the heads look at; all of them if not given. ``reference``
    takes padding as the published implementation does: hidden states of padding count, rows of padded queries count.
    ``look`` is how teachers are looked at. All models read the same ids.
    """

    model: PreTrainedModel
    teachers: Sequence[PreTrainedModel]
    alignment: Alignment
    weights: Mapping[str, float]
    decisions: Decisions | None = None
    temperature: float = 2.0
    projections: Sequence[Tensor] = ()
    places: Places | None = None
    reference: bool = False
    look: Look = look_at

    def __post_init__(self) -> None:
        """Freeze the teachers; ConfigError where nothing of them is left to compare with."""
        for teacher in self.teachers:
            teacher.requires_grad_(False).eval()
        maps = self._weight("attention") and self.alignment.student_attention
        if not (self._weight("hidden") or maps or self._heard()):
            raise ConfigError(
                "there is nothing to learn: no layer of the student looks as far as the teacher's layer it learns "
                "from, and nothing else is compared: raise hidden_weight"
            )

    def counts(self, batch: Batch) -> dict[str, float]:
        """Count positions, attended pairs (times heads later on) and decisions, of the terms with a weight."""
        valid = batch["attention_mask"]
        lengths = valid.sum(1, dtype=torch.float64)
        counts = {
            "hidden": float(valid.numel() if self.reference else lengths.sum()),
            "attention": float((lengths * valid.shape[1]).sum() if self.reference else lengths.square().sum()),
        }
        counts = {name: count for name, count in counts.items() if self._weight(name)}
        if (decisions := self._heard()) is not None:
            for name, targets_N in decisions.targets(batch).items():
                counts |= {term: _answered(targets_N) for term in self._terms(name)}
        return counts

    def losses(self, batch: Batch, counts: Counts) -> dict[str, Tensor]:
        """Hidden MSE, attention MSE and soft cross-entropy, weighted (BISTIL, both phases)."""
        valid = batch["attention_mask"]
        teacher = self.teachers[int(batch["language"][0])] if len(self.teachers) > 1 else self.teachers[0]
        pairs = self.alignment
        hidden = bool(self._weight("hidden"))
        attention = bool(self._weight("attention") and pairs.student_attention)
        with torch.no_grad():
            taught = self.look(teacher, batch, self._wanted(teacher, pairs.teacher_hidden, pairs.teacher_attention))
        seen = look_at(self.model, batch, self._wanted(self.model, pairs.student_hidden, pairs.student_attention))
        losses: dict[str, Tensor] = {}
        full = bool(valid.all())
        if hidden:
            mask = None if full or self.reference else valid
            targets = self._projected(taught.hidden)
            losses["hidden"] = self._weight("hidden") * hidden_mse(seen.hidden, targets, mask, counts["hidden"])
        if attention:
            queries = torch.ones_like(valid) if self.reference else valid
            counted = None if full else queries[:, :, None] * valid[:, None, :]
            losses["attention"] = self._weight("attention") * _map_distance(seen, taught, counted, counts["attention"])
        if (decisions := self._heard()) is not None:
            right = decisions.targets(batch)
            ours, theirs = (decisions.logits(output, batch) for output in (seen.output, taught.output))
            for name, targets_N in right.items():
                rows_N = targets_N != IGNORED
                for term, weight in self._terms(name).items():
                    if term == name:
                        loss = soft_cross_entropy(
                            ours[name][rows_N], theirs[name][rows_N], self.temperature, counts[term]
                        )
                    else:
                        loss = label_cross_entropy(ours[name], targets_N) / counts[term]
                    losses[term] = weight * loss
        return losses

    def _heard(self) -> Decisions | None:
        """Give the decisions if a term of theirs has a weight; batches without labels do where none has."""
        return self.decisions if self._weight("logits") or self._weight("labels") else None

    def _terms(self, decision: str) -> dict[str, float]:
        """Name the terms of one kind of decision that have a weight: the teacher's logits, the right answers."""
        terms = {decision: self._weight("logits"), f"{decision}_labels": self._weight("labels")}
        return {term: weight for term, weight in terms.items() if weight}

    def _wanted(self, model: PreTrainedModel, hidden: Sequence[int], layers: Sequence[int]) -> Wanted:
        """Want states and, of attention, what its maps are made of; the maps where only the model knows."""
        states = tuple(hidden) if self._weight("hidden") else ()
        maps = tuple(layers) if self._weight("attention") else ()
        places = () if self.places is None else (self.places,)
        if family_of(model.config).own_attention is None:
            return Wanted(states, vectors=maps, places=places)
        return Wanted(states, maps=maps, places=places)

    def _weight(self, name: str) -> float:
        return self.weights.get(name, 0.0)

    def _projected(self, states: Sequence[Tensor]) -> Sequence[Tensor]:
        if not self.projections:
            return states
        with torch.autocast(states[0].device.type, enabled=False):  # else the products are rounded
            return [at_least_float32(s) @ p.to(s.device) for s, p in zip(states, self.projections, strict=True)]


@dataclass
class TextBesides:
    """Phase 2 whose batches are labelled examples or, where they have the field ``plain``, text without labels.

    What is learned from ``text`` is what the teachers make of it: hidden states and attention maps and, where a head
    has something to decide about it, its decisions. The paper's phase 2 sees the labelled language alone.
    """

    model: PreTrainedModel
    labelled: Distillation
    text: Distillation

    @classmethod
    def of(cls, labelled: Distillation, *, decides: bool) -> TextBesides:
        """Learn from text as from examples, but by the teacher alone; ``decides``: its head's decisions too."""
        decisions = labelled.decisions if decides else None
        weights = {**labelled.weights, "labels": 0.0}
        return cls(labelled.model, labelled, replace(labelled, decisions=decisions, weights=weights))

    def counts(self, batch: Batch) -> dict[str, float]:
        """Count as the objective of such a batch does."""
        return self._of(batch).counts(batch)

    def losses(self, batch: Batch, counts: Counts) -> dict[str, Tensor]:
        """Give the terms of the objective of such a batch."""
        return self._of(batch).losses(batch, counts)

    def _of(self, batch: Batch) -> Distillation:
        return self.text if PLAIN in batch else self.labelled


@dataclass
class LabelLearning:
    """Cross-entropy of a head's decisions with their right answers, summed over kinds of decisions.

    With ``sfts``, one for each language, every batch is seen by the model under the SFT of its ``language``, which
    stays as it is: what is learned adds to it, as with composable sparse fine-tunings.
    """

    model: PreTrainedModel
    decisions: Decisions
    sfts: Sequence[SparseDelta] = ()

    def counts(self, batch: Batch) -> dict[str, float]:
        """Count decisions that have a right answer."""
        return {name: _answered(targets) for name, targets in self.decisions.targets(batch).items()}

    def losses(self, batch: Batch, counts: Counts) -> dict[str, Tensor]:
        """Cross-entropy summed over decisions, divided by their global count."""
        weights = shifted_parameters(self.model, self.sfts[int(batch["language"][0])]) if self.sfts else {}
        output = functional_call(self.model, weights, kwargs=model_inputs(self.model, batch))
        logits = self.decisions.logits(output, batch)
        return {
            name: label_cross_entropy(logits[name], targets_N) / counts[name]
            for name, targets_N in self.decisions.targets(batch).items()
        }


def _map_distance(seen: Observed, taught: Observed, counted_BTT: Tensor | None, pairs: float) -> Tensor:
    """Attention MSE, divided by ``pairs`` times the student's heads."""
    if seen.vectors:
        heads = seen.vectors[0].query.shape[1]
        return attention_mse_of_vectors(seen.vectors, taught.vectors, counted_BTT, pairs * heads)
    heads = seen.attention[0].shape[1]
    maps = [group_heads(map_BHTT, heads) for map_BHTT in taught.attention]
    return attention_mse(seen.attention, maps, counted_BTT, pairs * heads)


def _answered(targets_N: Tensor) -> float:
    return float((targets_N != IGNORED).sum())
