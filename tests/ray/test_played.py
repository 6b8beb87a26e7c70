"""A sweep that is played through takes what its steps take: nothing less than its longest chain, losses paid for."""

from __future__ import annotations

import math

import pytest

from benchmarks.simulate.played import Fleet, play
from benchmarks.simulate.seen import Seen, compare, fit
from bistil_ray.planning.plan import Plan
from bistil_ray.planning.step import Step


def step(kind: str, name: str, need: Step | None = None, minutes: float | None = None, flops: float = 0.0) -> Step:
    needs = {} if need is None else {"need": need.key}
    runtime = {} if minutes is None else {"checkpoint_minutes": minutes}
    return Step(kind, {}, {}, needs, name, {"lang": name}, runtime, flops=flops)


PACKS = [step("pack", name) for name in "abc"]
STUDENTS = [step("distil", pack.fingerprint, pack, minutes=1.0) for pack in PACKS]
PLAN = Plan((*PACKS, *STUDENTS))
SECONDS = {one.key: 100.0 if one.kind == "pack" else 1000.0 for one in PLAN}


@pytest.mark.parametrize(("slots", "wall"), [(1, 6 * 5 + 3300), (2, 2115), (3, 1110)])
def test_slots_share_the_steps(slots: int, wall: float) -> None:
    played = play(PLAN, SECONDS, Fleet(slots, start=5.0))
    assert played.worked == 3300
    assert played.paid == slots * played.wall
    assert played.critical_path == 1110
    assert played.wall == wall


def test_packs_with_places_of_their_own_take_no_slot() -> None:
    played = play(PLAN, SECONDS, Fleet(1, packs=2, start=5.0))
    assert played.wall == 105 + 3 * 1005, "the second pack and the third are made beside the first student"
    assert (played.worked, played.paid) == (3000, played.wall)


def test_what_losses_cost_is_what_the_sweep_takes_longer() -> None:
    alone, fleet = Plan((PACKS[0], STUDENTS[0])), Fleet(1, start=5.0, between_losses=900.0, replaced=30.0)
    lossy = next(played for seed in range(100) if (played := play(alone, SECONDS, fleet, seed)).losses == 2)
    assert lossy.wall == pytest.approx(1110 + lossy.lost)
    assert lossy.lost >= 30 * lossy.losses
    assert lossy.unfinished == 0


def test_a_step_without_checkpoints_loses_more() -> None:
    fleet, seconds = Fleet(1, between_losses=600.0), {"distil-x": 600.0}
    plans = [Plan((step("distil", "x", minutes=minutes),)) for minutes in (1.0, None)]
    kept, anew = (sum(play(plan, seconds, fleet, seed).lost for seed in range(20)) for plan in plans)
    assert 0 < kept < anew / 2


def test_a_step_that_always_loses_its_slot_stays_unfinished_and_so_does_what_needs_it() -> None:
    played = play(Plan((PACKS[0], STUDENTS[0])), {**SECONDS, PACKS[0].key: 1e9}, Fleet(1, between_losses=10.0))
    assert (played.losses, played.unfinished, played.worked) == (3, 2, 0)


def test_the_same_seed_gives_the_same_sweep() -> None:
    fleet = Fleet(2, start=5.0, between_losses=1000.0)
    assert play(PLAN, SECONDS, fleet, 1) == play(PLAN, SECONDS, fleet, 1) != play(PLAN, SECONDS, fleet, 2)


def test_rates_of_a_kind_are_found_again() -> None:
    seen = [Seen(step("distil", str(n), flops=n * 1e12), 0.0, 3.0 + 2.0 * n) for n in range(4)]
    rate = fit(seen)
    assert rate(step("distil", "x", flops=10e12)) == pytest.approx(23)
    assert math.isnan(rate(step("finetune", "x")))


def test_a_real_sweep_is_told_again_from_its_own_seconds() -> None:
    starts = [0, 0, 101, 102, 203, 1103]  # two slots: packs of 100 s, students of 1,000 s, a second between
    order = [*PACKS, *STUDENTS]
    seen = [Seen(one, start, start + SECONDS[one.key]) for one, start in zip(order, starts, strict=True)]
    row = compare([seen])[0]
    assert row["slots"] == 2
    assert row["own"] == pytest.approx(row["real"], rel=0.01)
