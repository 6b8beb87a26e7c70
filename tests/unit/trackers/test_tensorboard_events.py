"""TensorBoard's files, read back record by record: curves by step, and a session of HParams for each student."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tensorboardX.proto.event_pb2 import Event
from tensorboardX.proto.plugin_hparams_pb2 import HParamsPluginData

from bistil_ray.settings import Tracking
from bistil_ray.trackers.telling import Trackers


def values_in(folder: Path) -> Iterator[tuple[str, int, Any]]:
    """Tag, step and value of everything in the event file of a folder."""
    (file,) = folder.glob("events.out.tfevents.*")
    data, place = file.read_bytes(), 0
    while place < len(data):
        (length,) = struct.unpack_from("<Q", data, place)
        event = Event.FromString(data[place + 12 : place + 12 + length])
        place += 12 + length + 4
        for value in event.summary.value:
            yield value.tag, event.step, value


def test_each_step_has_its_curves_and_each_student_its_session(finished_run: Any) -> None:
    trackers = Trackers(Tracking(), finished_run.folder)
    trackers.tell([finished_run.distil, finished_run.finetune])
    trackers.close()
    distil, finetune = sorted((finished_run.folder / "tensorboard").iterdir())
    assert distil.name == "distil-sw-big-3-layers-bistil-beefca"
    curve = {step: value.simple_value for tag, step, value in values_in(distil) if tag == "loss"}
    assert curve == {10: 3.0, 20: 1.5, 30: 1.0}
    found = {tag: (step, value) for tag, step, value in values_in(finetune)}
    assert found["final/score"][0] == 14 and found["final/score"][1].simple_value == 0.5
    assert not any("_hparams_" in tag for tag, _, _ in values_in(distil))
    start = HParamsPluginData.FromString(
        found["_hparams_/session_start_info"][1].metadata.plugin_data.content
    ).session_start_info.hparams
    assert start["teacher"].string_value == "big" and start["density"].number_value == 0.08
    columns = HParamsPluginData.FromString(
        found["_hparams_/experiment"][1].metadata.plugin_data.content
    ).experiment.metric_infos
    assert [column.name.tag for column in columns][:2] == ["final/score", "final/validation_score"]
