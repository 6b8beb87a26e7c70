"""The choice of parameters is exact, takes ties, never takes unchanged ones, and refuses nonsense."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from torch import Tensor

from bistil_ray.errors import ConfigError, ModelError
from bistil_ray.sparse.select import select_changes, threshold_of


def flat(masks: dict[str, Tensor]) -> Tensor:
    return torch.cat([mask.reshape(-1) for mask in masks.values()])


def weights(seed: int, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shapes = {"embedding": (40, 6), "bias": (7,), "cube": (2, 3, 4), "empty": (0, 3), "scalar": ()}
    return {name: torch.randn(shape, generator=generator, dtype=dtype) for name, shape in shapes.items()}


@settings(max_examples=40, deadline=None)
@given(data=st.data(), width=st.sampled_from([32, 64]))
def test_the_threshold_is_exactly_the_kth_largest(data: st.DataObject, width: int) -> None:
    floats = st.floats(0, width=width, allow_nan=False, allow_infinity=False)
    values = torch.from_numpy(data.draw(arrays.arrays(f"float{width}", st.integers(1, 50), elements=floats)))
    count = data.draw(st.integers(1, values.numel()))
    expected = values.sort(descending=True).values[count - 1].item()
    assert threshold_of(lambda: values.split(20), count, values.dtype) == expected


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("density", [0.004, 0.08, 0.5, 1.0])
def test_masks_hold_the_largest_changes_over_all_parameters(dtype: torch.dtype, density: float) -> None:
    before, after = weights(0, dtype), weights(1, dtype)
    masks = select_changes(before, after, density)
    assert {name: (mask.shape, mask.dtype) for name, mask in masks.items()} == {
        name: (tensor.shape, torch.bool) for name, tensor in after.items()
    }
    changes = torch.cat([(after[name] - before[name]).abs().reshape(-1) for name in after])
    chosen = flat(masks)
    assert chosen.sum() == int(changes.numel() * density)
    if density < 1:
        assert changes[chosen].min() > changes[~chosen].max()


def test_more_elements_than_fit_in_one_piece() -> None:
    generator = torch.Generator().manual_seed(0)
    before = {
        "matrix": torch.randn(1500, 1500, generator=generator),
        "bias": torch.randn(5, generator=generator),
    }
    after = {name: tensor + 1e-3 * torch.randn(tensor.shape, generator=generator) for name, tensor in before.items()}
    changes = torch.cat([(after[name] - before[name]).abs().reshape(-1) for name in after])
    threshold = changes.topk(180_000).values[-1]
    assert torch.equal(flat(select_changes(before, after, count=180_000)), changes >= threshold)


def test_ties_with_the_last_one_are_all_taken() -> None:
    before = {"a": torch.zeros(6), "b": torch.zeros(2)}
    after = {"a": torch.tensor([3.0, -1, 1, 0.5, 0, 0]), "b": torch.tensor([1.0, -0.25])}
    masks = select_changes(before, after, count=2)
    assert masks["a"].tolist() == [True, True, True, False, False, False]
    assert masks["b"].tolist() == [True, False]


def test_unchanged_parameters_are_never_taken() -> None:
    before = weights(0)
    after = {name: tensor.clone() for name, tensor in before.items()}
    assert not flat(select_changes(before, after, 0.5)).any()
    after["cube"][1, 2, 3] += 0.5
    assert flat(select_changes(before, after, 0.5)).sum() == 1


def test_half_precision_and_transposed_tensors_are_compared_by_value() -> None:
    before, after = weights(0), weights(1)
    halves = [{name: t.to(torch.bfloat16) for name, t in side.items()} for side in (before, after)]
    wide = [{name: t.float() for name, t in side.items()} for side in halves]
    assert torch.equal(flat(select_changes(*halves, 0.1)), flat(select_changes(*wide, 0.1)))
    turned = [{"embedding": side["embedding"].T} for side in (before, after)]
    straight = [{"embedding": side["embedding"].T.contiguous()} for side in (before, after)]
    assert torch.equal(flat(select_changes(*turned, 0.1)), flat(select_changes(*straight, 0.1)))


def test_one_double_tensor_makes_all_comparisons_double() -> None:
    before = {"a": torch.zeros(2, dtype=torch.float64), "b": torch.zeros(1)}
    after = {"a": torch.tensor([1.0 + 1e-12, 1.0], dtype=torch.float64), "b": torch.ones(1)}
    assert flat(select_changes(before, after, count=1)).tolist() == [True, False, False]


def test_nothing_is_changed_and_gradients_are_not_tracked() -> None:
    before = weights(0)
    after = {name: tensor.requires_grad_() for name, tensor in weights(1).items()}
    copies = {name: tensor.detach().clone() for name, tensor in after.items()}
    masks = select_changes(before, after, 0.2)
    assert all(torch.equal(after[name], copies[name]) for name in after)
    assert not any(mask.requires_grad for mask in masks.values())


@pytest.mark.parametrize("density", [0.0, -0.1, 1.01, float("nan")])
def test_a_density_that_is_no_share_is_refused(density: float) -> None:
    with pytest.raises(ConfigError, match="above 0 and at most 1 .*--densities"):
        select_changes(weights(0), weights(1), density)


def test_a_density_of_less_than_one_parameter_is_refused() -> None:
    with pytest.raises(ConfigError, match="less than one parameter"):
        select_changes(weights(0), weights(1), 1e-6)


def test_a_count_larger_than_the_model_is_refused() -> None:
    with pytest.raises(ConfigError, match="273 parameters cannot be chosen out of 272"):
        select_changes(weights(0), weights(1), count=273)


@pytest.mark.parametrize("value", [float("inf"), float("nan"), -float("inf"), -float("nan")])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_weights_that_are_not_finite_are_refused(value: float, dtype: torch.dtype) -> None:
    after = weights(1, dtype)
    after["bias"][2] = value
    with pytest.raises(ModelError, match="diverged"):
        select_changes(weights(0, dtype), after, 0.1)


def test_unlike_parameters_are_refused_by_name() -> None:
    with pytest.raises(ModelError, match="cube"):
        select_changes({"bias": torch.zeros(2)}, {"bias": torch.zeros(2), "cube": torch.zeros(1)}, 0.5)
    with pytest.raises(ModelError, match=r"bias is \(2,\) before and \(3,\) after"):
        select_changes({"bias": torch.zeros(2)}, {"bias": torch.zeros(3)}, 0.5)
