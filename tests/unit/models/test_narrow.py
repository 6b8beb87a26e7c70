"""Narrower students start near the states, maps and predictions of the wide ones."""

from __future__ import annotations

import pytest
import torch
from transformers import AutoModelForMaskedLM

from bistil_ray.errors import ModelError
from bistil_ray.losses.hidden import hidden_mse
from bistil_ray.models.families import family_of
from bistil_ray.models.narrow import BERT_LIKE, cut_product, narrow_student
from bistil_ray.models.projection import state_projections
from bistil_ray.models.states import observe
from bistil_ray.models.student import build_student

ALL = ([0, 1, 2], [0, 1])
bert_like = pytest.mark.parametrize("name", [family.name for family in BERT_LIKE])


def wide_student(make_model, name: str, **settings):
    return build_student(make_model(name, pad_token_id=1, **settings), (1, 3)).eval()


def head_of(student) -> torch.nn.Module:
    return student.cls if hasattr(student, "cls") else student.lm_head


def projections_of(student, inputs, width: int) -> list[torch.Tensor]:
    """From all tokens of a batch, as many as the tiny widths here need."""
    with torch.no_grad():
        seen = observe(student, inputs, *ALL)
    return state_projections([hidden.flatten(0, 1) for hidden in seen.hidden], width)


@bert_like
def test_another_order_of_the_units_computes_the_same(make_model, inputs, name: str) -> None:
    """Of all changes of basis this is the one that residual connections and norms do not notice."""
    student = wide_student(make_model, name)
    order = torch.eye(12)[:, torch.randperm(12, generator=torch.Generator().manual_seed(0))]
    narrow = narrow_student(student, [order] * 3)
    with torch.no_grad():
        wide, ours = observe(student, inputs, *ALL), observe(narrow, inputs, *ALL)
    for theirs, state in zip(wide.hidden, ours.hidden, strict=True):
        torch.testing.assert_close(state, theirs @ order, rtol=1e-4, atol=1e-5)
    for theirs, ours_map in zip(wide.attention, ours.attention, strict=True):
        torch.testing.assert_close(ours_map, theirs, rtol=1e-4, atol=1e-5)


@bert_like
def test_narrow_students_start_nearer_to_the_projected_states_than_random_ones(make_model, inputs, name: str) -> None:
    student = wide_student(make_model, name, hidden_size=24)
    projections = projections_of(student, inputs, 18)
    narrow = narrow_student(student, projections)
    fresh = type(narrow)(narrow.config).eval()
    with torch.no_grad():
        targets = [h @ p for h, p in zip(observe(student, inputs, *ALL).hidden, projections, strict=True)]
        losses = [hidden_mse(observe(model, inputs, *ALL).hidden, targets).item() for model in (narrow, fresh)]
    assert losses[0] < 0.5 * losses[1]


@bert_like
@pytest.mark.parametrize("tied", [True, False])
def test_narrow_students_survive_saving(make_model, inputs, name: str, tied: bool, tmp_path) -> None:
    student = wide_student(make_model, name, tie_word_embeddings=tied)
    narrow = narrow_student(student, projections_of(student, inputs, 9))
    assert (narrow.get_output_embeddings().weight is narrow.get_input_embeddings().weight) == tied
    narrow.save_pretrained(tmp_path)
    loaded, report = AutoModelForMaskedLM.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(report.values()) and type(loaded) is type(student)
    assert torch.equal(loaded(**inputs).logits, narrow(**inputs).logits)


@pytest.mark.parametrize(("width", "heads", "intermediate"), [(9, 3, 15), (6, 3, 10), (8, 1, 13), (10, 1, 17)])
def test_heads_stay_where_the_width_divides(make_model, inputs, width: int, heads: int, intermediate: int) -> None:
    student = wide_student(make_model, "bert")
    config = narrow_student(student, projections_of(student, inputs, width)).config
    assert (config.hidden_size, config.num_attention_heads, config.intermediate_size) == (width, heads, intermediate)
    assert student.config.hidden_size == 12


def test_a_head_starts_from_the_mean_scores_of_its_group(make_model, inputs) -> None:
    student = wide_student(make_model, "bert", num_attention_heads=4)
    attention = family_of(student.config).attentions(student)[0]
    with torch.no_grad():
        for linear in (attention.query, attention.key):  # neighbours alike: three units hold the scores of both
            for head in (1, 3):
                linear.weight[3 * head : 3 * head + 3] = linear.weight[3 * head - 3 : 3 * head]
                linear.bias[3 * head : 3 * head + 3] = linear.bias[3 * head - 3 : 3 * head]
    projections = projections_of(student, inputs, 6)
    ours = family_of(student.config).attentions(narrow_student(student, projections))[0]
    state = torch.randn(5, 6, generator=torch.Generator().manual_seed(2))

    def scores(module: torch.nn.Module, states: torch.Tensor) -> torch.Tensor:
        query, key = (linear(states).unflatten(-1, (-1, 3)).transpose(0, 1) for linear in (module.query, module.key))
        return query @ key.transpose(1, 2) / 3**0.5

    means = scores(attention, state @ projections[0].T).unflatten(0, (2, 2)).mean(1)
    torch.testing.assert_close(scores(ours, state), means, rtol=1e-4, atol=1e-5)


def test_a_cut_product_is_the_best_of_its_rank() -> None:
    generator = torch.Generator().manual_seed(0)
    left = torch.randn(6, 9, generator=generator, dtype=torch.float64)
    right = torch.randn(6, 7, generator=generator, dtype=torch.float64)
    for rank in (2, 6):
        ours = cut_product(left, right, rank)
        assert [part.shape for part in ours] == [(rank, 9), (rank, 7)]
        outer, sizes, inner = torch.linalg.svd(left.T @ right, full_matrices=False)
        best = outer[:, :rank] * sizes[:rank] @ inner[:rank]
        torch.testing.assert_close(ours[0].T @ ours[1], best)
        torch.testing.assert_close(ours[0].norm(), ours[1].norm())


def test_units_of_feed_forward_layers_that_do_nothing_go_first(make_model, inputs) -> None:
    student = wide_student(make_model, "bert")
    layer = family_of(student.config).layers(student)[0]
    with torch.no_grad():
        layer.output.dense.weight[:, [2, 5, 7, 11, 19]] = 0
    narrow = narrow_student(student, projections_of(student, inputs, 9))
    kept = family_of(student.config).layers(narrow)[0].intermediate.dense.bias
    idle = layer.intermediate.dense.bias[[2, 5, 7, 11, 19]]
    assert len(kept) == 15 and not torch.isin(idle, kept).any()


@bert_like
def test_the_head_does_nearly_what_it_did_in_another_basis(make_model, name: str) -> None:
    student = wide_student(make_model, name, hidden_size=24, initializer_range=0.1)
    turn = torch.linalg.qr(torch.randn(24, 24, generator=torch.Generator().manual_seed(3))).Q
    narrow = narrow_student(student, [turn] * 3)
    last_norm = family_of(student.config).layers(student)[-1].output.LayerNorm
    with torch.no_grad():
        states = last_norm(torch.randn(500, 24, generator=torch.Generator().manual_seed(5)))
        wanted, logits = head_of(student)(states), head_of(narrow)(states @ turn)
    assert (logits - wanted).square().sum() < 0.5 * (wanted - wanted.mean(0)).square().sum()


def test_making_a_narrow_student_draws_no_random_numbers(make_model, inputs) -> None:
    student = wide_student(make_model, "bert").train()
    projections = projections_of(student, inputs, 9)
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    narrow = narrow_student(student, projections)
    assert torch.equal(torch.rand(3), expected)
    assert narrow.training and narrow.config.hidden_dropout_prob == 0


@pytest.mark.parametrize(("name", "head"), [("electra", "masked-lm"), ("bert", "token-classification")])
def test_students_of_another_shape_are_refused(make_model, name: str, head: str) -> None:
    message = r"narrower than its teacher \(--hidden\) needs a masked language model of type bert, roberta, xlm-roberta"
    with pytest.raises(ModelError, match=message):
        narrow_student(make_model(name, head), [torch.eye(12)[:, :6]] * 5)
