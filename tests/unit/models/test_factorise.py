"""Factorised embeddings give nearly the old ones from a smaller table, and the rest of the student stays."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoModelForMaskedLM, AutoTokenizer, ElectraForMaskedLM

from bistil_ray.errors import ModelError
from bistil_ray.models.factorise import factorise_embeddings
from bistil_ray.models.families import ELECTRA, family_of
from bistil_ray.models.narrow import BERT_LIKE
from bistil_ray.models.states import observe
from bistil_ray.models.student import build_student, cut_vocabulary

bert_like = pytest.mark.parametrize("name", [family.name for family in BERT_LIKE])


@pytest.fixture
def make_student(make_model):
    """A function making a student of 12 units; pad id 1, as in the batches."""
    return lambda name, **settings: build_student(make_model(name, pad_token_id=1, **settings), (1, 3)).eval()


def relative_error(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    return ((ours - theirs).square().sum() / (theirs - theirs.mean(0)).square().sum()).item()


def embedded(model, inputs) -> torch.Tensor:
    """The states of the real tokens before the first layer."""
    with torch.no_grad():
        return observe(model, inputs, [0], []).hidden[0][inputs["attention_mask"].bool()]


@bert_like
def test_embeddings_come_nearer_with_the_rank(make_student, inputs, name: str) -> None:
    student = make_student(name)
    errors = [
        relative_error(embedded(factorise_embeddings(student, rank), inputs), embedded(student, inputs))
        for rank in (2, 6, 11)
    ]
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 0.2


@bert_like
def test_tables_are_as_narrow_as_the_rank(make_student, name: str) -> None:
    student, rank = make_student(name), 5
    electra = factorise_embeddings(student, rank)
    config, table = student.config, electra.electra.embeddings
    positions = family_of(config).longest_text(config)
    assert table.word_embeddings.weight.shape == (30, rank)
    assert table.position_embeddings.weight.shape == (positions, rank)
    assert family_of(electra.config).longest_text(electra.config) == positions
    rows = 30 + positions + config.type_vocab_size
    embeddings = rows * rank + 2 * rank + rank * 12 + 12  # tables, norm, map to the hidden size
    head = 12 * rank + rank + 2 * rank + 30
    layers = sum(p.numel() for p in family_of(config).layers(student).parameters())
    assert sum(p.numel() for p in electra.parameters()) == embeddings + layers + head


@bert_like
def test_layers_are_copied(make_student, inputs, name: str) -> None:
    student = make_student(name)
    electra = factorise_embeddings(student, 6)
    ours, theirs = ELECTRA.layers(electra), family_of(student.config).layers(student)
    for mine, original in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(mine, original) and mine.data_ptr() != original.data_ptr()


@bert_like
def test_predictions_are_near_those_of_the_student(make_student, inputs, name: str) -> None:
    student = make_student(name)
    real = inputs["attention_mask"].bool()
    wanted = student(**inputs).logits[real]
    logits = factorise_embeddings(student, 11)(**inputs).logits[real]
    blind = make_student(name)
    fresh = ElectraForMaskedLM(factorise_embeddings(blind, 11).config).eval()(**inputs).logits[real]
    assert relative_error(logits, wanted) < 0.5 * relative_error(fresh, wanted)


@bert_like
@pytest.mark.parametrize("tied", [True, False])
def test_any_transformers_program_loads_the_result(make_student, inputs, name: str, tied: bool, tmp_path) -> None:
    electra = factorise_embeddings(make_student(name, tie_word_embeddings=tied), 6)
    assert (electra.get_output_embeddings().weight is electra.get_input_embeddings().weight) == tied
    electra.save_pretrained(tmp_path)
    loaded, report = AutoModelForMaskedLM.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(report.values()) and isinstance(loaded, ElectraForMaskedLM)
    assert torch.equal(loaded(**inputs).logits, electra(**inputs).logits)
    states = electra.electra(**inputs).last_hidden_state
    assert torch.equal(AutoModel.from_pretrained(tmp_path)(**inputs).last_hidden_state, states)


def test_the_vocabulary_can_be_cut_afterwards(make_student) -> None:
    electra, kept = factorise_embeddings(make_student("roberta"), 6), np.array([0, 1, 4, 9])
    ids = torch.tensor([[4, 9, 0]])
    before = electra(input_ids=ids).logits[..., kept]
    cut_vocabulary(electra, kept)
    torch.testing.assert_close(electra(input_ids=torch.tensor([[2, 3, 0]])).logits, before)


def test_tokenizers_of_other_families_load_beside_it(make_student, byte_level_tokenizer, tmp_path) -> None:
    factorise_embeddings(make_student("roberta"), 6).save_pretrained(tmp_path)
    byte_level_tokenizer.save_pretrained(tmp_path)
    text = "the other world"
    assert AutoTokenizer.from_pretrained(tmp_path)(text)["input_ids"] == byte_level_tokenizer(text)["input_ids"]


def test_factorising_draws_no_random_numbers_and_leaves_the_student(make_student, inputs) -> None:
    student = make_student("bert").train()
    before = student(**inputs).logits
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    electra = factorise_embeddings(student, 6)
    assert torch.equal(torch.rand(3), expected)
    assert electra.training and electra.config.hidden_dropout_prob == 0
    assert torch.equal(student(**inputs).logits, before)


@pytest.mark.parametrize("rank", [0, 12, 13])
def test_ranks_that_save_nothing_are_refused(make_student, rank: int) -> None:
    with pytest.raises(ModelError, match=rf"distil.embedding_rank is {rank}; allowed: 1 to 11, below the hidden size"):
        factorise_embeddings(make_student("bert"), rank)


def test_students_of_another_shape_are_refused(make_model) -> None:
    with pytest.raises(ModelError, match=r"\(distil.embedding_rank\) needs a masked language model .*not a ModernBert"):
        factorise_embeddings(make_model("modernbert"), 6)
