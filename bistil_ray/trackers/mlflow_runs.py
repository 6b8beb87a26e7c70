"""MLflow: an experiment for each run of ours, in it a run for each step."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .finished import FinishedStep

if TYPE_CHECKING:
    from collections.abc import Callable

MOST_METRICS = 1000
"""What MLflow takes in one call."""


def open_mlflow(uri: str | None, experiment: str, run: Path) -> Callable[[FinishedStep], None]:
    """Give a function that logs a step as a run of ``experiment``, which is made if it is not there.

    ``uri`` is MLflow's server or database; MLFLOW_TRACKING_URI, or ``mlflow.db`` in the folder ``run``, if not given.
    """
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # read when mlflow is imported
    from mlflow.tracking import MlflowClient

    logging.getLogger("mlflow").setLevel(logging.WARNING)  # it tells of every table it makes
    place = uri or os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{run.resolve() / 'mlflow.db'}"
    client = MlflowClient(tracking_uri=place)
    found = client.get_experiment_by_name(experiment)
    number = found.experiment_id if found else client.create_experiment(experiment)
    return lambda finished: _log_run(client, number, finished)


def _log_run(client: Any, experiment: str, finished: FinishedStep) -> None:  # noqa: ANN401
    from mlflow.entities import Metric, Param

    tags = {"step": finished.key, "kind": finished.kind, "run": finished.run}
    made = client.create_run(experiment, start_time=_ms(finished.started), tags=tags, run_name=finished.title)
    points = [
        Metric(name, value, _ms(point.time), point.step)
        for point in finished.points
        for name, value in point.figures.items()
    ]
    last = finished.points[-1].step if finished.points else 0
    points += [Metric(f"final/{name}", value, _ms(finished.finished), last) for name, value in finished.figures.items()]
    settings = {**finished.settings, **finished.about}
    client.log_batch(made.info.run_id, params=[Param(name, str(value)) for name, value in settings.items()])
    for start in range(0, len(points), MOST_METRICS):
        client.log_batch(made.info.run_id, metrics=points[start : start + MOST_METRICS])
    client.set_terminated(made.info.run_id, end_time=_ms(finished.finished))


def _ms(seconds: float) -> int:
    return int(1000 * seconds)
