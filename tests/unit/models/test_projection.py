"""Projections span the leading directions of the teacher's states, in bases near one another, and are told apart."""

from __future__ import annotations

import pytest
import torch

from bistil_ray.errors import ModelError
from bistil_ray.models.projection import load_projections, sample_states, save_projections, state_projections
from bistil_ray.models.states import observe


def samples(states: int = 3, tokens: int = 40, units: int = 12) -> list[torch.Tensor]:
    """States whose directions and means drift slowly, as those of neighbouring layers do."""
    generator = torch.Generator().manual_seed(0)
    common = torch.randn(tokens, units, generator=generator, dtype=torch.float64) * torch.linspace(3, 0.3, units)
    noise = torch.randn(states, tokens, units, generator=generator, dtype=torch.float64)
    return [common + 0.3 * part + 1 for part in noise]


def test_one_real_token_of_each_sequence_is_taken_in_all_states(make_model, inputs) -> None:
    teacher = make_model("xlm-roberta", pad_token_id=1)
    ids = inputs["input_ids"].repeat(20, 1)  # more than one batch
    valid = inputs["attention_mask"].repeat(20, 1).bool()
    taken = sample_states(teacher, ids, [0, 4], torch.Generator().manual_seed(0))
    with torch.no_grad():
        seen = observe(teacher, {"input_ids": ids, "attention_mask": valid.long()}, [0, 4], []).hidden
    near = [(h - t[:, None]).abs().amax(-1) < 1e-5 for h, t in zip(seen, taken, strict=True)]
    places = near[0] & near[1] & valid
    assert places.any(1).all()
    assert not (near[1] & ~valid).any()
    assert len(set(places[::3].float().argmax(1).tolist())) == 7  # any position of a full sequence


def test_the_sample_depends_on_the_generator_alone(make_model, inputs) -> None:
    teacher = make_model("bert")
    draws = [
        sample_states(teacher, inputs["input_ids"].repeat(9, 1), [2], torch.Generator().manual_seed(seed))[0]
        for seed in (1, 1, 2)
    ]
    assert torch.equal(draws[0], draws[1]) and not torch.equal(draws[0], draws[2])


def test_projections_are_orthonormal_and_span_the_leading_directions() -> None:
    for sample, projection in zip(samples(), state_projections(samples(), 5), strict=True):
        torch.testing.assert_close(projection.T @ projection, torch.eye(5, dtype=torch.float64))
        moments = sample.T @ sample  # not centred
        leading = torch.linalg.eigh(moments).eigenvectors[:, -5:]
        torch.testing.assert_close(projection @ projection.T, leading @ leading.T)


def test_bases_are_turned_towards_one_another() -> None:
    first, second, _ = state_projections(samples(), 5)
    raw = [torch.linalg.svd(sample, full_matrices=False).Vh[:5].T for sample in samples()]
    assert (first - second).norm() < (raw[0] - raw[1]).norm()
    # No turn within the directions of one state would bring it nearer to what all share than its own does.
    assert torch.diagonal(first.T @ second).min() > 0.8


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_projections_have_the_precision_of_the_sample(dtype: torch.dtype) -> None:
    assert {p.dtype for p in state_projections([s.to(dtype) for s in samples()], 4)} == {dtype}


def test_samples_too_small_and_widths_too_large_are_refused() -> None:
    with pytest.raises(ModelError, match="4 sampled tokens give no projection to 5 units: 5 sequences are needed"):
        state_projections(samples(tokens=4), 5)
    for width in (0, 13):
        with pytest.raises(ModelError, match=rf"hidden size is {width}; allowed: 1 to the teacher's 12 \(--hidden\)"):
            state_projections(samples(), width)


def test_projections_survive_saving_in_their_order(tmp_path) -> None:
    projections = state_projections(samples(states=11), 3)
    assert load_projections(tmp_path) == []
    save_projections(projections, tmp_path)
    for ours, loaded in zip(projections, load_projections(tmp_path), strict=True):
        assert torch.equal(ours, loaded)
