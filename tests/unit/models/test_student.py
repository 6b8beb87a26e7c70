"""Students are the teacher's weights and nothing else; a cut vocabulary computes what the whole one did."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers import AutoModelForMaskedLM

from bistil_ray.errors import ModelError
from bistil_ray.models.families import FAMILIES, HEADS, family_of
from bistil_ray.models.student import build_student, cut_vocabulary, layer_map

KEPT = np.array([0, 1, 2, 5, 6, 9, 13, 20, 28])


def remapped(kept: np.ndarray, ids: torch.Tensor) -> torch.Tensor:
    return torch.from_numpy(np.searchsorted(kept, ids.numpy()))


def kept_inputs(kept: np.ndarray, pad: int) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """The same batch in old and in new ids; the last row is padded."""
    choice = torch.randint(0, len(kept), (3, 6), generator=torch.Generator().manual_seed(3))
    old = torch.from_numpy(kept)[choice]
    mask = torch.ones_like(old)
    mask[2, 3:] = 0
    old = old.masked_fill(mask == 0, pad)
    return {"input_ids": old, "attention_mask": mask}, {
        "input_ids": remapped(kept, old),
        "attention_mask": mask,
    }


@pytest.mark.parametrize(
    ("student", "expected"),
    [(12, tuple(range(12))), (6, (1, 3, 5, 7, 9, 11)), (4, (2, 5, 8, 11)), (3, (3, 7, 11)), (1, (11,))],
)
def test_regular_layers_are_the_last_of_each_group(student: int, expected: tuple[int, ...]) -> None:
    assert layer_map(12, student) == expected


def test_bottom_layers_are_the_first_ones() -> None:
    assert layer_map(12, 4, "bottom") == (0, 1, 2, 3)


def test_layers_that_do_not_divide_are_refused_with_those_that_do() -> None:
    for layers in (5, 0, -2, 24):
        with pytest.raises(ModelError, match=r"allowed: 1, 2, 3, 4, 6, 12 \(--layers\)"):
            layer_map(12, layers)
    with pytest.raises(ModelError, match="unknown choice of layers 'top'; allowed: regular, bottom"):
        layer_map(12, 6, "top")


@pytest.mark.parametrize("head", sorted(HEADS))
def test_student_is_the_teacher_less_the_layers_between(
    make_model, inputs, family_name: str, head: str
) -> None:
    teacher = make_model(family_name, head)
    student = build_student(teacher, 2)
    assert type(student) is type(teacher)
    assert student.config.num_hidden_layers == 2 and teacher.config.num_hidden_layers == 4
    layers = family_of(teacher.config).layers(teacher)
    del layers[2], layers[0]
    for theirs, ours in zip(teacher(**inputs).to_tuple(), student.eval()(**inputs).to_tuple(), strict=True):
        assert torch.equal(theirs, ours)


def test_student_shares_no_memory_with_its_teacher(make_model) -> None:
    teacher = make_model("bert")
    student = build_student(teacher, 2)
    theirs = {parameter.data_ptr() for parameter in teacher.parameters()}
    assert not theirs & {parameter.data_ptr() for parameter in student.parameters()}


def test_student_has_no_dropout_in_training(make_model, inputs, family_name: str) -> None:
    teacher = make_model(family_name)
    student = build_student(teacher, 2)
    assert student.training
    assert student.config.hidden_dropout_prob == student.config.attention_probs_dropout_prob == 0
    assert teacher.config.hidden_dropout_prob == 0.1
    assert torch.equal(student(**inputs).logits, student(**inputs).logits)


@pytest.mark.parametrize("tied", [True, False])
def test_what_is_tied_in_the_teacher_is_tied_in_the_student(
    make_model, inputs, family_name: str, tied: bool
) -> None:
    teacher = make_model(family_name, tie_word_embeddings=tied)
    student = build_student(teacher, 4)
    assert (student.get_output_embeddings().weight is student.get_input_embeddings().weight) == tied
    assert torch.equal(student.eval()(**inputs).logits, teacher(**inputs).logits)


def test_a_teacher_untied_against_its_configuration_stays_so(make_model, inputs) -> None:
    teacher = make_model("bert")
    output = teacher.get_output_embeddings()
    output.weight = torch.nn.Parameter(output.weight.detach() * 2)
    student = build_student(teacher, 4)
    assert not student.config.tie_word_embeddings
    assert torch.equal(student.eval()(**inputs).logits, teacher(**inputs).logits)


def test_building_a_student_draws_no_random_numbers(make_model) -> None:
    teacher = make_model("bert")
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    build_student(teacher, 2)
    assert torch.equal(torch.rand(3), expected)


def test_student_has_the_precision_and_the_missing_pooler_of_its_teacher(make_model) -> None:
    teacher = make_model("bert", "base").double()
    family_of(teacher.config).drop_pooler(teacher)
    student = build_student(teacher, 2)
    assert student.dtype == torch.float64 and student.pooler is None


def test_student_survives_saving(make_model, inputs, family_name: str, tmp_path) -> None:
    student = build_student(make_model(family_name), 2).eval()
    student.save_pretrained(tmp_path)
    loaded = AutoModelForMaskedLM.from_pretrained(tmp_path)
    assert torch.equal(loaded(**inputs).logits, student(**inputs).logits)


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("head", sorted(HEADS))
def test_cut_model_computes_the_same_and_survives_saving(
    make_model, family_name: str, head: str, tied: bool, tmp_path
) -> None:
    model = make_model(family_name, head, pad_token_id=1, tie_word_embeddings=tied)
    old, new = kept_inputs(KEPT, pad=1)
    before = model(**old)
    assert cut_vocabulary(model, KEPT) is model
    assert model.config.vocab_size == model.get_input_embeddings().num_embeddings == len(KEPT)
    model.save_pretrained(tmp_path)
    loaded, report = type(model).from_pretrained(tmp_path, output_loading_info=True)
    assert not any(report.values())
    for cut in (model, loaded):
        for key, value in cut(**new).items():
            expected = before[key][..., KEPT] if head == "masked-lm" else before[key]
            torch.testing.assert_close(value, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("tied", [True, False])
def test_ties_and_settings_of_parameters_are_kept(make_model, family_name: str, tied: bool) -> None:
    model = make_model(family_name, tie_word_embeddings=tied)
    model.get_input_embeddings().weight.requires_grad_(False)
    names = {name: parameter.shape for name, parameter in model.named_parameters(remove_duplicate=False)}
    cut_vocabulary(model, KEPT)
    assert (model.get_output_embeddings().weight is model.get_input_embeddings().weight) == tied
    assert not model.get_input_embeddings().weight.requires_grad
    assert model.get_output_embeddings().bias.requires_grad
    for name, parameter in model.named_parameters(remove_duplicate=False):
        assert parameter.shape == ((len(KEPT), *names[name][1:]) if 30 in names[name] else names[name])


@pytest.mark.parametrize("pad", [0, 5, 28])
def test_positions_follow_the_pad_id(make_model, family_name: str, pad: int, tmp_path) -> None:
    model = make_model(family_name, pad_token_id=pad, max_position_embeddings=40)
    old, new = kept_inputs(KEPT, pad=pad)
    before = model(**old, output_hidden_states=True)
    cut_vocabulary(model, KEPT)
    assert model.config.pad_token_id == model.get_input_embeddings().padding_idx == KEPT.tolist().index(pad)
    model.save_pretrained(tmp_path)
    for cut in (model, type(model).from_pretrained(tmp_path)):
        after = cut(**new, output_hidden_states=True)
        torch.testing.assert_close(after.hidden_states[0], before.hidden_states[0], rtol=0, atol=0)
        torch.testing.assert_close(after.logits, before.logits[..., KEPT], rtol=0, atol=1e-6)
        room = cut.config.max_position_embeddings - FAMILIES[family_name].first_position(cut.config)
        longest = torch.full((1, room), (cut.config.pad_token_id + 1) % len(KEPT))
        cut(longest)  # as many tokens as before have a position


def test_special_ids_of_the_configuration_follow(make_model) -> None:
    model = make_model("xlm-roberta", pad_token_id=1, bos_token_id=0, eos_token_id=9)
    cut_vocabulary(model, np.array([0, 1, 5, 9]))
    assert (model.config.bos_token_id, model.config.pad_token_id, model.config.eos_token_id) == (0, 1, 3)
    cut_vocabulary(model, np.array([0, 1, 2]))
    assert model.config.eos_token_id is None


def test_cut_model_trains_with_labels(make_model) -> None:
    model = cut_vocabulary(make_model("bert"), KEPT)
    ids = torch.tensor([[2, 3, 8]])
    loss = model(input_ids=ids, labels=ids).loss
    loss.backward()
    assert model.get_input_embeddings().weight.grad.shape == (len(KEPT), 12)


@pytest.mark.parametrize(
    ("kept", "message"),
    [
        ([], "0 token ids to keep must be ascending, from 0 to 29"),
        ([0, 3, 2], "must be ascending"),
        ([0, 2, 2], "must be ascending"),
        ([-1, 0, 1], "from 0 to 29"),
        ([0, 1, 30], "from 0 to 29"),
        ([1, 2, 3], "lack the model's pad id 0"),
    ],
)
def test_ids_that_cannot_be_kept_are_refused(make_model, kept: list[int], message: str) -> None:
    model = make_model("bert")
    with pytest.raises(ModelError, match=message):
        cut_vocabulary(model, np.array(kept, dtype=np.int64))
    assert model.config.vocab_size == 30
