"""Curves say what the metrics say, with fewer points."""

from __future__ import annotations

import pytest

from bistil_ray.dashboard.curves import curves_of, thinned, worth_a_curve


def test_loss_terms_bits_and_phases_are_curves_of_their_own() -> None:
    lines = [
        {"step": 1, "tokens": 10, "loss": 3.0, "loss_hidden": 2.0, "lr": 0.1},
        {"step": 2, "tokens": 20, "loss": 1.0, "loss_hidden": 0.5, "lr": 0.1},
        {"step": 2, "tokens": 20, "bits_per_character": 1.5},
        {"phase": "sparse", "step": 1, "tokens": 10, "loss": 9.0},
        {"step": 2, "tokens": 20, "score": None},
    ]
    found = {(curve.phase, curve.name): (curve.tokens, curve.values) for curve in curves_of(lines)}
    assert found == {
        ("", "loss"): ((10, 20), (3.0, 1.0)),
        ("", "loss_hidden"): ((10, 20), (2.0, 0.5)),
        ("", "bits_per_character"): ((20,), (1.5,)),
        ("sparse", "loss"): ((10,), (9.0,)),
    }


def test_what_a_resumed_step_did_again_counts_once() -> None:
    lines = [
        {"step": step, "tokens": 10 * step, "loss": loss} for step, loss in [(1, 5.0), (2, 4.0), (2, 3.5), (3, 3.0)]
    ]
    (curve,) = curves_of(lines)
    assert curve.values == (5.0, 3.5, 3.0)


def test_a_loss_that_is_not_a_number_is_passed_over() -> None:
    (curve,) = curves_of([{"step": 1, "tokens": 1, "loss": float("nan")}, {"step": 2, "tokens": 2, "loss": 1.0}])
    assert curve.values == (1.0,)


@pytest.mark.parametrize("count", [1, 79, 80, 81, 1000])
def test_thinning_keeps_the_mean_and_the_limit(count: int) -> None:
    values = list(range(count))
    thin = thinned(values, 80)
    assert len(thin) <= 80
    assert thin == tuple(sorted(thin))
    size = -(-count // 80)
    assert thin[0] == pytest.approx((min(size, count) - 1) / 2)


def test_what_needs_attention_has_its_curves_before_the_best() -> None:
    states = {"a": "done", "b": "done", "c": "failed", "d": "waiting", "e": "running"}
    assert worth_a_curve(states, ranked=["b", "gone"]) == ["c", "e", "b", "a"]
    assert worth_a_curve(states, ranked=["b"], most=3) == ["c", "e", "b"]
