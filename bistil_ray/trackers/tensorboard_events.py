"""TensorBoard's event files: a folder for each step, curves as scalars, students as sessions of the HParams view."""

from __future__ import annotations

import re
from pathlib import Path

from ..results.records import SETTING
from .finished import FinishedStep

COMPARED = tuple(name for name in SETTING if name != "assignment")
SHOWN = (
    "score", "validation_score", "retention", "agreement", "source_score", "params", "bytes", "latency_ms", "tokens",
)  # fmt: skip
"""The columns of the HParams view: settings (of several teachers their assignment) and final figures."""


def write_events(finished: FinishedStep, folder: Path) -> None:
    """Write ``folder/<name of the step>``.

    Final figures are scalars ``final/...`` at the last step. Steps of the same run have the same columns in HParams,
    whatever they lack, since TensorBoard takes its columns from the first session it finds.
    """
    from tensorboardX import SummaryWriter
    from tensorboardX.summary import hparams

    place = folder / re.sub(r"[^\w.=-]+", "-", finished.name)
    with SummaryWriter(logdir=str(place)) as writer:
        for point in finished.points:
            for name, value in point.figures.items():
                writer.add_scalar(name, value, point.step, point.time)
        last = finished.points[-1].step if finished.points else 0
        for name, value in finished.figures.items():
            writer.add_scalar(f"final/{name}", value, last, finished.finished)
        if finished.is_student:
            settings = {name: finished.about.get(name, "-") for name in COMPARED}
            settings["teacher"] = finished.about.get("assignment", settings["teacher"])
            for summary in hparams(settings, {f"final/{name}": 0.0 for name in SHOWN}):
                writer.file_writer.add_summary(summary)
