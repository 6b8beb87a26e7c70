"""Trackers are told of every finished step once, and none of them can stop or hold up a run."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from bistil_ray.config import RunConfig, differences
from bistil_ray.config_sources import load_config
from bistil_ray.errors import ConfigError
from bistil_ray.settings import Tracking
from bistil_ray.trackers import telling
from bistil_ray.trackers.finished import FinishedStep
from bistil_ray.trackers.telling import Trackers, check_trackers


def tell(run: Any, tracking: Tracking, patience: float = 60) -> None:
    """Tell ``tracking`` of the run's two steps."""
    trackers = Trackers(tracking, run.folder)
    trackers.tell([run.distil, run.finetune])
    trackers.close(patience)


@pytest.fixture
def wandb(monkeypatch: pytest.MonkeyPatch) -> list[SimpleNamespace]:
    """The runs that a stand-in for wandb was told of."""
    made: list[SimpleNamespace] = []

    def init(**settings: Any) -> SimpleNamespace:
        run = SimpleNamespace(settings=settings, logged=[], summary={}, ended=False)
        run.log = lambda figures, step: run.logged.append((step, figures))
        run.finish = lambda: vars(run).update(ended=True)
        made.append(run)
        return run

    module = SimpleNamespace(
        init=init, setup=lambda settings: None, Settings=dict, __spec__=SimpleNamespace(name="wandb")
    )
    monkeypatch.setitem(sys.modules, "wandb", module)
    return made


def test_wandb_gets_a_run_for_each_step_with_settings_curve_and_score(
    finished_run: Any, wandb: list[SimpleNamespace]
) -> None:
    tell(finished_run, Tracking(to=("wandb",), project="students"))
    distil, finetune = wandb
    assert finetune.settings["project"] == "students" and finetune.settings["group"] == "mine"
    assert finetune.settings["name"] == "finetune sw big 3 layers bistil density 0.08"
    assert finetune.settings["config"]["density"] == 0.08 and finetune.settings["config"]["lr"] == 0.2
    assert [(step, figures["loss"]) for step, figures in distil.logged] == [(10, 3.0), (20, 1.5), (30, 1.0)]
    assert finetune.summary["final/score"] == 0.5
    assert distil.ended and finetune.ended
    assert distil.settings["id"] != finetune.settings["id"]


def test_a_step_is_told_once_however_often_the_run_goes_on(finished_run: Any, wandb: list[SimpleNamespace]) -> None:
    for _ in range(2):
        tell(finished_run, Tracking(to=("wandb",)))
    assert len(wandb) == 2
    ledger = finished_run.folder / "trackers" / "wandb.txt"
    assert ledger.read_text().split() == [finished_run.distil.key, finished_run.finetune.key]


@pytest.fixture
def tracker(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[FinishedStep], None]], None]:
    """A function putting a tracker of one's own in TensorBoard's place."""

    def put(function: Callable[[FinishedStep], None]) -> None:
        monkeypatch.setattr(telling, "write_events", lambda finished, folder: function(finished))

    return put


def test_a_failure_is_a_single_warning_without_passwords_and_the_rest_is_told_next_time(
    finished_run: Any, tracker: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    told: list[str] = []

    def fails_at_first(finished: FinishedStep) -> None:
        told.append(finished.kind)
        if len(told) == 1:
            raise OSError("https://me:open-sesame@host does not answer")

    tracker(fails_at_first)
    with caplog.at_level(logging.WARNING):
        tell(finished_run, Tracking())
        assert len(caplog.records) == 1
        tell(finished_run, Tracking())
    (warning,) = caplog.messages
    assert "tensorboard is told no more of this run (OSError: https://***@host does not answer)" in warning
    assert told == ["distil", "distil", "finetune"]


def test_a_tracker_that_hangs_is_not_waited_for_for_ever(
    finished_run: Any, tracker: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    never = threading.Event()
    tracker(lambda finished: never.wait() and None)
    with caplog.at_level(logging.WARNING):
        tell(finished_run, Tracking(), patience=0.01)
    assert "still busy after 0.01 s" in caplog.text
    never.set()


def test_a_package_that_is_missing_is_named_before_anything_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telling, "find_spec", lambda name: None if name == "mlflow" else object())
    with pytest.raises(ConfigError, match=r"tracking.to names mlflow.*pip install 'bistil-ray\[mlflow\]'"):
        check_trackers(Tracking(to=("tensorboard", "mlflow")))
    check_trackers(Tracking(to=()))


def test_trackers_are_chosen_by_settings_that_make_no_other_run() -> None:
    needed = {"langs": ["sw"], "teachers": ["big"], "corpora": "texts", "task_data": "labels"}

    def load(*overrides: str) -> RunConfig:
        return load_config(None, overrides, {}, needed)

    plain, tracked = load(), load("tracking.to=mlflow,wandb", "tracking.project=mine")
    assert plain.tracking.to == ("tensorboard",) and tracked.tracking.to == ("mlflow", "wandb")
    assert differences(plain, tracked) == []
    with pytest.raises(ConfigError, match="tracking.to is 'comet': must be 'tensorboard', 'mlflow' or 'wandb'"):
        load("tracking.to=[comet]")
    with pytest.raises(ConfigError, match="tracking holds credentials"):
        load("tracking.mlflow_uri=https://me:open-sesame@host")
