"""Students are the teacher's weights and nothing else; a cut vocabulary computes what the whole one did."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers import AutoModelForMaskedLM

from bistil_ray.errors import ModelError
from bistil_ray.models.families import FAMILIES, HEADS, family_of
from bistil_ray.models.layers import align_layers, layer_map
from bistil_ray.models.loading import load_masked_lm
from bistil_ray.models.student import build_student, cut_vocabulary

KEPT = np.array([0, 1, 2, 5, 6, 9, 13, 20, 28])
COPIED = (0, 3)


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


@pytest.mark.parametrize("head", sorted(HEADS))
def test_student_is_the_teacher_less_the_layers_between(make_model, inputs, family_name: str, head: str) -> None:
    teacher = make_model(family_name, head)
    student = build_student(teacher, COPIED)
    assert type(student) is type(teacher)
    assert student.config.num_hidden_layers == 2 and teacher.config.num_hidden_layers == 4
    layers = family_of(teacher.config).layers(teacher)
    del layers[2], layers[1]
    for theirs, ours in zip(teacher(**inputs).to_tuple(), student.eval()(**inputs).to_tuple(), strict=True):
        assert torch.equal(theirs, ours)


def test_student_shares_no_memory_with_its_teacher(make_model) -> None:
    teacher = make_model("bert")
    student = build_student(teacher, COPIED)
    theirs = {parameter.data_ptr() for parameter in teacher.parameters()}
    assert not theirs & {parameter.data_ptr() for parameter in student.parameters()}


def test_student_has_no_dropout_in_training(make_model, inputs, family_name: str) -> None:
    summary = "summary_last_dropout"  # of a head that no task has
    keys = {key for key in make_model(family_name).config.to_dict() if "dropout" in key} - {summary}
    teacher = make_model(family_name, **dict.fromkeys(keys, 0.3))
    assert not torch.equal(teacher.train()(**inputs).logits, teacher(**inputs).logits)
    student = build_student(teacher, COPIED)
    assert student.training
    assert all(getattr(student.config, key) == 0 and getattr(teacher.config, key) == 0.3 for key in keys)
    assert torch.equal(student(**inputs).logits, student(**inputs).logits)
    for head in set(HEADS) - {"base"}:
        headed = FAMILIES[family_name].head_class(head)(student.config)
        assert all(module.p == 0 for module in headed.modules() if isinstance(module, torch.nn.Dropout))


@pytest.mark.parametrize("mapping", [(), (3, 0), (0, 4), (-1, 2), (0, 0)])
def test_layers_that_are_no_part_of_the_teacher_are_refused(make_model, mapping: tuple[int, ...]) -> None:
    with pytest.raises(ModelError, match="they must ascend, from 0 to 3"):
        build_student(make_model("bert"), mapping)


def test_near_and_far_layers_stay_what_they_are(make_model, inputs, tmp_path) -> None:
    teacher = make_model("modernbert", num_hidden_layers=6, global_rope_theta=100.0, local_rope_theta=9.0)
    student = build_student(teacher, (0, 2, 3, 5)).eval()
    full, sliding = "full_attention", "sliding_attention"
    assert student.config.layer_types == [full, sliding, full, sliding]
    student.save_pretrained(tmp_path)
    loaded = AutoModelForMaskedLM.from_pretrained(tmp_path)
    assert loaded.config.layer_types == student.config.layer_types
    assert {kind: rope["rope_theta"] for kind, rope in loaded.config.rope_parameters.items()} == {full: 100, sliding: 9}
    assert torch.equal(loaded(**inputs).logits, student(**inputs).logits)


def test_modernbert_students_begin_with_the_first_layer(make_model) -> None:
    with pytest.raises(ModelError, match="modernbert student begins with layer 0 of its teacher, not with 1"):
        build_student(make_model("modernbert"), (1, 3))
    assert FAMILIES["modernbert"].fitting_layers((1, 3)) == (0, 3)
    assert FAMILIES["bert"].fitting_layers((1, 3)) == (1, 3)


def test_maps_are_compared_between_layers_that_look_as_far(make_model) -> None:
    teacher = make_model("modernbert", num_hidden_layers=6)  # far, near, near, far, near, near
    family = family_of(teacher.config)
    student = build_student(teacher, family.fitting_layers(layer_map(6, 3)))
    pairs = align_layers(6, 3)
    assert (pairs.student_attention, pairs.teacher_attention) == ((0, 1, 2), (1, 3, 5))
    comparable = family.comparable_maps(student.config, teacher.config, pairs)
    assert comparable == pairs._replace(student_attention=(1, 2), teacher_attention=(3, 5))
    bert = make_model("bert", num_hidden_layers=6)
    assert FAMILIES["bert"].comparable_maps(bert.config, bert.config, pairs) == pairs


@pytest.mark.parametrize("kernel", [0, 3])
def test_deberta_students_keep_the_head_and_what_their_layers_share(make_model, inputs, kernel: int, tmp_path) -> None:
    teacher = make_model("deberta-v2", legacy=False, conv_kernel_size=kernel, share_att_key=False)
    student = cut_vocabulary(build_student(teacher, (1, 3)), KEPT).eval()
    old, new = kept_inputs(KEPT, pad=0)
    layers = family_of(teacher.config).layers(teacher)
    del layers[2], layers[0]
    expected = teacher(**old).logits[..., KEPT]
    student.save_pretrained(tmp_path)
    for model in (student, load_masked_lm(tmp_path)):
        torch.testing.assert_close(model(**new).logits, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("tied", [True, False])
def test_what_is_tied_in_the_teacher_is_tied_in_the_student(make_model, inputs, family_name: str, tied: bool) -> None:
    teacher = make_model(family_name, tie_word_embeddings=tied)
    student = build_student(teacher, range(4))
    assert (student.get_output_embeddings().weight is student.get_input_embeddings().weight) == tied
    assert torch.equal(student.eval()(**inputs).logits, teacher(**inputs).logits)


def test_a_teacher_untied_against_its_configuration_stays_so(make_model, inputs) -> None:
    teacher = make_model("bert")
    output = teacher.get_output_embeddings()
    output.weight = torch.nn.Parameter(output.weight.detach() * 2)
    student = build_student(teacher, range(4))
    assert not student.config.tie_word_embeddings
    assert torch.equal(student.eval()(**inputs).logits, teacher(**inputs).logits)


def test_building_a_student_draws_no_random_numbers(make_model) -> None:
    teacher = make_model("bert")
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    build_student(teacher, COPIED)
    assert torch.equal(torch.rand(3), expected)


def test_student_has_the_precision_and_the_missing_pooler_of_its_teacher(make_model) -> None:
    teacher = make_model("bert", "base").double()
    family_of(teacher.config).drop_pooler(teacher)
    student = build_student(teacher, COPIED)
    assert student.dtype == torch.float64 and student.pooler is None


def test_student_survives_saving(make_model, inputs, family_name: str, tmp_path) -> None:
    student = build_student(make_model(family_name), COPIED).eval()
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
