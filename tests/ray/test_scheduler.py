"""Early stopping compares steps of one group only, by one measure, and never stops a final result."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler

from bistil_ray.distributed.scheduler import MEASURE, PerGroupScheduler, make_scheduler
from bistil_ray.planning.plan import Plan
from bistil_ray.planning.step import Step
from bistil_ray.settings import Pruning

CONTINUE, STOP = FIFOScheduler.CONTINUE, FIFOScheduler.STOP
MOST = 1000


def student(lang: str, seed: int, recipe: str = "bistil") -> Step:
    about = {"lang": lang, "recipe": recipe, "seed": seed}
    return Step("distil", {}, {}, {}, f"{lang}{recipe}{seed}", about, tokens=MOST)


STUDENTS = [student(lang, seed) for lang in ("sw", "yo") for seed in range(4)]
TUNED = Step("finetune", {}, {}, {}, "sw", {"lang": "sw"}, tokens=9 * MOST)
PLAN = Plan((*STUDENTS, TUNED))


class FakeTrials:
    """Trials of all steps, whose results a scheduler decides on."""

    def __init__(self, scheduler: FIFOScheduler, steps: Plan) -> None:
        self.scheduler = scheduler
        scheduler.set_search_properties("progress", "max")
        self.trials = {step.key: SimpleNamespace(config={"step": step.key}, trial_id=step.key) for step in steps}
        for trial in self.trials.values():
            scheduler.on_trial_add(None, trial)

    def report(self, step: Step, tokens: int, **metrics: Any) -> str:
        result = {"state": "running", "tokens": tokens, "training_iteration": 1, **metrics}
        return self.scheduler.on_trial_result(None, self.trials[step.key], result)


@pytest.fixture
def trials() -> FakeTrials:
    return FakeTrials(make_scheduler(PLAN, Pruning(enabled=True, grace=0.2, reduction=3)), PLAN)


def test_each_language_keeps_its_best_however_hard_the_language(trials: FakeTrials) -> None:
    left = {step.key: step for step in STUDENTS}
    for tokens in (200, 400, 600, 800, 1000):
        for step in list(left.values()):
            bits = 2.0 + step.about["seed"] + (5.0 if step.about["lang"] == "yo" else 0.0)
            if trials.report(step, tokens, **{MEASURE: bits}) == STOP:
                del left[step.key]
    assert {step.about["lang"] for step in left.values()} == {"sw", "yo"}
    assert {STUDENTS[0].key, STUDENTS[4].key} <= left.keys()
    assert len(left) < len(STUDENTS)


def test_nobody_is_stopped_before_the_grace_is_over(trials: FakeTrials) -> None:
    for step in STUDENTS:
        assert trials.report(step, 199, **{MEASURE: float(step.about["seed"])}) == CONTINUE


def test_a_final_result_is_never_stopped(trials: FakeTrials) -> None:
    for step in STUDENTS:
        bits = 2.0 + step.about["seed"]
        trials.report(step, 400, **{MEASURE: bits})
        assert trials.report(step, MOST, **{MEASURE: 99.0}, state="done") == CONTINUE


def test_a_student_at_its_last_token_is_not_stopped_for_having_reached_the_end(trials: FakeTrials) -> None:
    assert trials.report(STUDENTS[0], MOST, **{MEASURE: 2.0}) == CONTINUE


def test_reports_without_the_measure_are_no_rungs(trials: FakeTrials) -> None:
    for step in STUDENTS:
        assert trials.report(step, 500, loss=float(step.about["seed"])) == CONTINUE


def test_other_kinds_of_step_run_to_their_end(trials: FakeTrials) -> None:
    for step in STUDENTS:
        trials.report(step, 500, **{MEASURE: 0.1})
    assert trials.report(TUNED, 500, **{MEASURE: 99.0}) == CONTINUE
    trials.scheduler.on_trial_complete(None, trials.trials[TUNED.key], {})
    trials.scheduler.on_trial_remove(None, trials.trials[TUNED.key])
    trials.scheduler.on_trial_error(None, trials.trials[TUNED.key])


def test_recipes_are_not_compared_with_each_other() -> None:
    steps = [student("sw", seed, recipe) for recipe in ("bistil", "scratch") for seed in range(3)]
    trials = FakeTrials(make_scheduler(Plan(tuple(steps)), Pruning(enabled=True)), Plan(tuple(steps)))
    stopped = set()
    for step in steps:
        bits = step.about["seed"] + (50.0 if step.about["recipe"] == "scratch" else 1.0)
        if trials.report(step, 500, **{MEASURE: bits}) == STOP:
            stopped.add(step.key)
    assert stopped == {key for key in stopped if not key.endswith("0")}
    assert {steps[1].key, steps[2].key, steps[4].key, steps[5].key} == stopped


def test_students_of_several_teachers_compete_with_each_other_over_their_own_number_of_tokens() -> None:
    about = {"languages": "en-sw", "seed": 0}
    merged = [Step("merge", {}, {}, {}, f"{number}", about, tokens=10 * MOST) for number in range(4)]
    plan = Plan((*STUDENTS, *merged))
    trials = FakeTrials(make_scheduler(plan, Pruning(enabled=True, grace=0.2)), plan)
    early = [trials.report(step, 1999, **{MEASURE: 2.0 + number}) for number, step in enumerate(merged)]
    assert early == [CONTINUE] * 4, "their grace is a share of their own tokens"
    late = [trials.report(step, 2000, **{MEASURE: 2.0 + number}) for number, step in enumerate(merged)]
    assert late[0] == CONTINUE and STOP in late[1:]


def test_without_pruning_nothing_is_ever_stopped() -> None:
    trials = FakeTrials(make_scheduler(PLAN, Pruning()), PLAN)
    assert all(trials.report(step, 900, **{MEASURE: float(step.about["seed"])}) == CONTINUE for step in STUDENTS)


def test_groups_are_described() -> None:
    trials = FakeTrials(make_scheduler(PLAN, Pruning(enabled=True)), PLAN)
    trials.report(STUDENTS[0], 500, **{MEASURE: 1.0})
    assert isinstance(trials.scheduler, PerGroupScheduler)
    assert "sw bistil" in trials.scheduler.debug_string()


def test_a_trial_is_chosen_among_those_that_live() -> None:
    waiting, running = SimpleNamespace(status=Trial.PENDING), SimpleNamespace(status=Trial.RUNNING)
    for pruning in (Pruning(), Pruning(enabled=True)):
        choose = make_scheduler(PLAN, pruning).choose_trial_to_run
        assert choose(SimpleNamespace(get_live_trials=lambda: [running, waiting])) is waiting
        assert choose(SimpleNamespace(get_live_trials=lambda: [running])) is None
