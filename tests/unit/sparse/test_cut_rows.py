"""An SFT cut to some tokens does to a cut model what the whole one does to the whole model."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from transformers import AutoModelForMaskedLM, PreTrainedModel

from bistil_ray.errors import ModelError
from bistil_ray.models.student import cut_vocabulary, vocabulary_names
from bistil_ray.sparse.cut import cut_rows
from bistil_ray.sparse.delta import SparseDelta, apply_delta, check_delta, extract_delta


def parameters(model: PreTrainedModel) -> dict[str, nn.Parameter]:
    """Each parameter under one name, the encoder's where it is tied to the head."""
    return {name: value for name, value in model.named_parameters(remove_duplicate=False) if "decoder" not in name}


def with_sft(model: PreTrainedModel, dense: tuple[str, ...] = ()) -> SparseDelta:
    """A change of a fifth of all weights."""
    generator = torch.Generator().manual_seed(4)
    before = {name: value.detach().clone() for name, value in parameters(model).items()}
    after = {
        name: value
        + torch.randn(value.shape, generator=generator) * (torch.rand(value.shape, generator=generator) < 0.2)
        for name, value in before.items()
    }
    return extract_delta(before, after, dense, {"language": "sw"})


@pytest.mark.parametrize("family", ["bert", "xlmr"])
@pytest.mark.parametrize("dense", [False, True])
def test_cutting_and_applying_in_either_order_gives_the_same_model(
    family: str, dense: bool, request: pytest.FixtureRequest
) -> None:
    folder: Path = request.getfixturevalue(f"{family}_folder")
    model = AutoModelForMaskedLM.from_pretrained(folder)
    embedding = next(name for name in parameters(model) if name.endswith("word_embeddings.weight"))
    bias = next(name for name, value in parameters(model).items() if value.shape == (model.config.vocab_size,))
    delta = with_sft(model, (bias,) if dense else ())
    kept = np.array([*range(5), *range(6, model.config.vocab_size, 3)])

    first_applied = copy.deepcopy(model)
    apply_delta(first_applied, delta)
    cut_vocabulary(first_applied, kept)

    first_cut = cut_vocabulary(copy.deepcopy(model), kept)
    cut = cut_rows(delta, kept, vocabulary_names(model))
    check_delta(cut, "the cut SFT")
    apply_delta(first_cut, cut)
    expected = parameters(first_applied)
    for name, value in parameters(first_cut).items():
        assert torch.equal(value, expected[name]), name
    assert 0 < cut.indices[embedding].numel() < delta.indices[embedding].numel()


def small() -> SparseDelta:
    """Changes at (0, 1), (1, 0) and (3, 1) of a matrix, and in a vector."""
    index = torch.tensor([1, 2, 7])
    return SparseDelta(
        {"matrix": index, "vector": index},
        {"matrix": torch.tensor([1.0, 2.0, 3.0]), "vector": torch.ones(3)},
        {"matrix": (4, 2), "vector": (9,)},
        {},
        {"language": "sw"},
    )


def test_rows_move_up_and_other_parameters_stay() -> None:
    cut = cut_rows(small(), np.array([0, 3]), ("matrix", "another"))
    assert cut.indices["matrix"].tolist() == [1, 3]
    assert cut.values["matrix"].tolist() == [1.0, 3.0]
    assert cut.shapes == {"matrix": (2, 2), "vector": (9,)}
    assert cut.indices["vector"].tolist() == [1, 2, 7]
    assert small().shapes["matrix"] == (4, 2)


def test_a_parameter_changed_in_no_row_that_stays_is_left_out() -> None:
    cut = cut_rows(small(), np.array([2]), ("matrix",))
    assert cut.indices.keys() == cut.values.keys() == cut.shapes.keys() == {"vector"}


def test_rows_that_there_are_not_are_refused() -> None:
    with pytest.raises(ModelError, match="matrix has 4 rows, so row 4"):
        cut_rows(small(), np.array([0, 4]), ("matrix",))
