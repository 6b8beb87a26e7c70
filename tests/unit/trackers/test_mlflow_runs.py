"""MLflow's own store gets an experiment for the run, and in it a run for each step."""

from __future__ import annotations

from typing import Any

import pytest

from bistil_ray.settings import Tracking
from bistil_ray.trackers.telling import Trackers

pytest.importorskip("mlflow")
pytest.importorskip("alembic")


@pytest.mark.slow
def test_steps_become_runs_with_parameters_curves_and_scores(
    finished_run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow.tracking import MlflowClient

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    trackers = Trackers(Tracking(to=("mlflow",)), finished_run.folder)
    trackers.tell([finished_run.distil, finished_run.finetune])
    trackers.close()
    client = MlflowClient(tracking_uri=f"sqlite:///{finished_run.folder / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("mine")
    runs = {run.data.tags["kind"]: run for run in client.search_runs([experiment.experiment_id])}
    student = runs["finetune"]
    assert student.info.run_name == "finetune sw big 3 layers bistil density 0.08"
    assert (student.info.status, student.info.start_time, student.info.end_time) == ("FINISHED", 100_000, 160_000)
    assert student.data.params["density"] == "0.08" and student.data.params["lr"] == "0.2"
    assert student.data.metrics["final/score"] == 0.5
    curve = client.get_metric_history(runs["distil"].info.run_id, "loss")
    assert [(point.step, point.value) for point in curve] == [(10, 3.0), (20, 1.5), (30, 1.0)]
