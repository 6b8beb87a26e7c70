"""A teacher that says the same whatever it reads is refused; any other is not."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForMaskedLM

from bistil_ray.errors import ModelError
from bistil_ray.teachers.constant import check_states, check_varies

IDS = torch.tensor([[5, 6, 7, 8, 9, 10]])


@pytest.mark.parametrize("family", ["bert_folder", "xlmr_folder"])
def test_hidden_states_that_never_change_are_refused(family: str, request: pytest.FixtureRequest) -> None:
    teacher = AutoModelForMaskedLM.from_pretrained(request.getfixturevalue(family)).eval()
    check_states(teacher, IDS, "good")
    teacher.get_input_embeddings().weight.data.zero_()
    with pytest.raises(ModelError, match="teacher bad gives the same hidden states whatever it reads"):
        check_states(teacher, IDS, "bad")


def test_weights_that_are_not_numbers_are_told(bert_folder: Path) -> None:
    teacher = AutoModelForMaskedLM.from_pretrained(bert_folder).eval()
    teacher.get_input_embeddings().weight.data.fill_(float("nan"))
    with pytest.raises(ModelError, match="teacher bad gives hidden states that are NaN"):
        check_states(teacher, IDS, "bad")


def test_scores_count_as_the_same_up_to_rounding_and_masked_choices_do_not_matter() -> None:
    scores = torch.tensor([[1.0, 2.0, -torch.inf], [1.0, 2.0 + 1e-6, -torch.inf]])
    with pytest.raises(ModelError, match="same tags scores"):
        check_varies(scores, "tags scores", "bad")
    check_varies(scores + torch.tensor([[0.0], [0.01]]), "tags scores", "good")
    check_varies(scores[:1], "tags scores", "one decision only")
