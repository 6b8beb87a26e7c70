"""The ways to make a student: BISTIL and the methods it is compared with, on equal terms.

Every recipe has the same trimmed vocabulary, text, number of tokens and labelled data. Recipes that share phase 1 share
its step. Two are of another kind: ``teacher`` makes no student, it is the undistilled teacher, sparsely fine-tuned;
``mergedistill`` makes one student of all teachers and languages, for each assignment of the ones to the others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from .settings import TaskDistillation

Start = Literal["layers", "distilbert-layers", "random"]
Objective = Literal["states", "masked-lm", "distilmbert", "relations"]

TEACHER = "teacher"
"""The recipe of undistilled teachers; every other recipe makes a student."""
MERGEDISTILL = "mergedistill"
"""The recipe of students of several teachers."""


@dataclass(frozen=True)
class Recipe:
    """One way to make a student.

    ``start`` says where its first weights come from: the teacher's layers that the run chooses, those that DistilBERT
    takes, or chance. ``objective`` is what phase 1 minimises: distances of hidden states and attention maps, masked
    language modelling, the mix of DistilmBERT or MiniLMv2's relations. ``under_teacher``: phase 2 learns from the task
    teacher, otherwise from the labels alone. ``phase_2`` holds settings of phase 2 that are the recipe's own, whatever
    the run says.
    """

    start: Start
    objective: Objective
    under_teacher: bool = False
    phase_2: Mapping[str, float] = field(default_factory=dict)

    @property
    def phase_1(self) -> dict[str, str]:
        """What decides the bytes of the phase-1 student."""
        return {"start": self.start, "objective": self.objective}


RECIPES = {
    "bistil": Recipe("layers", "states", under_teacher=True),
    "bistil+": Recipe("layers", "states", under_teacher=True, phase_2={"text_share": 0.5}),
    "nodistil": Recipe("layers", "states"),
    "minilmv2": Recipe("random", "relations"),
    "distilmbert": Recipe("distilbert-layers", "distilmbert"),
    "scratch": Recipe("random", "masked-lm"),
}

# Settings of phase 1 that matter to one kind of objective or start only: they are no part of the others' fingerprints.
SETTINGS_OF = {
    "hidden_weight": "states",
    "attention_weight": "states",
    "logit_weight": "states",
    "label_weight": "states",
    "temperature": "states",
    "layer_choice": "layers",
    "relation_heads": "relations",
    "relation_layer": "relations",
}


def phase_1_settings(recipe: Recipe, settings: dict[str, object]) -> dict[str, object]:
    """Keep the settings of phase 1 that this recipe reads."""
    kinds = {recipe.start, recipe.objective}
    return {name: value for name, value in settings.items() if SETTINGS_OF.get(name, recipe.start) in kinds}


def phase_2_settings(recipe: Recipe, settings: TaskDistillation) -> TaskDistillation:
    """Give the settings of phase 2 as this recipe has them; plain text is of use only under a teacher."""
    own = dict(recipe.phase_2) if recipe.under_teacher else {"text_share": 0.0}
    return settings.model_copy(update=own)
