"""What trackers get of a finished step: plain settings, one curve over all phases, its final figures."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from bistil_ray.trackers.finished import read_finished


def test_a_phase_one_step_has_its_curve_and_its_final_figures(finished_run: Any) -> None:
    run, distil = finished_run.folder, finished_run.distil
    read = read_finished(distil, run.parent / "steps" / distil.key, run.name)
    assert [(point.step, point.time, point.figures["loss"]) for point in read.points] == [
        (10, 102.0, 3.0),
        (20, 103.0, 1.5),
        (30, 105.0, 1.0),
    ]
    assert read.points[-1].figures["bits_per_character"] == 1.5
    assert read.figures == {"tokens": 300.0, "bits_per_character_en": 1.25, "bits_per_character_sw": 1.5}
    assert read.settings == {"lr": 0.1, "names": "['a']"}
    assert (read.run, read.started, read.finished, read.is_student) == ("mine", 100.0, 160.0, False)


def test_phases_follow_each_other_and_what_a_resumed_step_repeats_counts_once(finished_run: Any) -> None:
    run, finetune = finished_run.folder, finished_run.finetune
    read = read_finished(finetune, run.parent / "steps" / finetune.key, run.name)
    assert [point.step for point in read.points] == [5, 10, 14]
    assert [point.figures.get("dense/loss") for point in read.points] == [2.0, 1.5, None]
    assert read.points[2].figures["sparse/loss"] == 0.5


def test_a_student_is_told_by_its_record_and_what_was_not_measured_is_left_out(finished_run: Any) -> None:
    run, finetune = finished_run.folder, finished_run.finetune
    read = read_finished(finetune, run.parent / "steps" / finetune.key, run.name)
    assert read.is_student
    assert read.about == {
        "lang": "sw", "teacher": "big", "layers": 3, "recipe": "bistil", "seed": 0, "density": 0.08, "hidden": 48,
    }  # fmt: skip
    assert (read.figures["score"], read.figures["retention"], read.figures["bytes"]) == (0.5, 0.8, 4000.0)
    assert "latency_ms" not in read.figures
    assert "none" not in read.settings


def test_the_name_of_a_step_is_one_that_a_folder_can_have(finished_run: Any) -> None:
    run, distil = finished_run.folder, finished_run.distil
    read = read_finished(distil, run.parent / "steps" / distil.key, run.name)
    many = replace(read, title="merge " + " ".join(f"teacher-{lang}=bert-base-multilingual-ọ" for lang in range(20)))
    assert len(many.name.encode()) < 255 and many.name.endswith(read.name[-7:])
    assert many.name.startswith("merge teacher-0=")
