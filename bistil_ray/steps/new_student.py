"""The first weights of a student: layers of the teacher or chance, of the width and embeddings that are wanted."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from transformers import AutoModelForMaskedLM, PreTrainedModel

from ..models.factorise import factorise_embeddings
from ..models.families import family_of
from ..models.layers import align_layers, layer_map
from ..models.narrow import narrow_student
from ..models.projection import sample_states, state_projections
from ..models.student import build_student
from ..storage import read_result
from ..train.seeds import mix
from .blocks import first_blocks, training_files

STATES_PER_UNIT = 4
"""How many tokens are sampled, in multiples of the student's width, to find the directions that matter."""


CHOICES = {"layers": None, "distilbert-layers": "distilbert", "random": "bottom"}
"""The teacher's layers by how a student starts: those of the run, DistilBERT's, or any, for their shape alone."""


class NewStudent(NamedTuple):
    """A student before phase 1, how it aligns with its teacher, and the maps of the teacher's states to its width."""

    model: PreTrainedModel
    choice: str | list[int]
    projections: list[Tensor]


def new_student(teacher: PreTrainedModel, settings: Mapping[str, Any], pack: Path) -> NewStudent:
    """Make a student by the settings of a ``distil`` step.

    ``projections`` is empty at the teacher's width; otherwise it holds one map for each aligned state.
    """
    choice = CHOICES[settings["start"]] or settings["layer_choice"]
    depths = teacher.config.num_hidden_layers, settings["layers"]
    student = build_student(teacher, family_of(teacher.config).fitting_layers(layer_map(*depths, choice)))
    projections: list[Tensor] = []
    if settings["hidden"] != teacher.config.hidden_size:
        states = align_layers(*depths, choice).teacher_hidden
        projections = _projections(teacher, states, settings, pack)
        student = narrow_student(student, projections)
    if settings["embedding_rank"] is not None:
        student = factorise_embeddings(student, settings["embedding_rank"])
    if settings["start"] == "random":
        torch.manual_seed(mix(settings["seed"], 0))
        student = AutoModelForMaskedLM.from_config(student.config)
    return NewStudent(student.to(teacher.device).train(), choice, projections)


def student_folder(step: Path) -> Path:
    """Where the student of a finished ``distil`` or ``merge`` step lies."""
    return step / str(read_result(step)["student"])


def _projections(
    teacher: PreTrainedModel, states: tuple[int, ...], settings: Mapping[str, Any], pack: Path
) -> list[Tensor]:
    """Sample as many tokens of each language and project on their most important directions."""
    wanted = STATES_PER_UNIT * settings["hidden"]
    languages = training_files(pack)
    blocks = [first_blocks(files, wanted // len(languages), settings["seed"]) for files in languages]
    ids_NT = torch.from_numpy(np.concatenate(blocks).astype(np.int64))
    generator = torch.Generator().manual_seed(mix(settings["seed"], 4))
    return state_projections(sample_states(teacher, ids_NT, states, generator), settings["hidden"])
