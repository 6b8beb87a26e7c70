"""A whole sweep: what it leaves behind; repeating it repeats nothing, and one bad language spoils no other."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import ray
from transformers import pipeline

from bistil_ray.config import RunConfig
from bistil_ray.distributed.slot import Slot
from bistil_ray.distributed.sweep import Outcome
from bistil_ray.errors import DataError
from bistil_ray.planning.plan import Plan
from bistil_ray.results.records import read_records
from bistil_ray.steps.context import Context, Job
from bistil_ray.storage import read_result
from tests.ray.told_steps import end_at_once, step

Swept = tuple[RunConfig, Plan, Outcome]


def stamps(config: RunConfig) -> dict[str, int]:
    """When each finished step ended."""
    return {path.parent.name: path.stat().st_mtime_ns for path in Path(config.storage).glob("steps/*/DONE")}


def test_every_step_ends_well(swept: Swept) -> None:
    config, plan, outcome = swept
    assert outcome.failed == {} and not outcome.interrupted
    assert stamps(config).keys() == {step.key for step in plan}
    status = json.loads((outcome.run / "status.json").read_text())
    assert status == {step.key: {"state": "done", "reason": ""} for step in plan}


def test_there_is_a_record_of_every_teacher_and_student(swept: Swept) -> None:
    config, plan, outcome = swept
    records = read_records(outcome.run)
    found = {(record.lang, record.recipe, record.density) for record in records}
    expected = {(lang, "teacher", None) for lang in config.langs}
    expected |= {(lang, "bistil", density) for lang in config.langs for density in config.densities}
    assert found == expected and len(records) == len(expected)
    assert {record.step for record in records} == {step.key for step in plan if step.kind in {"evaluate", "finetune"}}


def test_the_best_student_of_each_language_tags_text(swept: Swept) -> None:
    config, _, outcome = swept
    records = read_records(outcome.run)
    for lang in config.langs:
        folder = outcome.run / "best" / lang
        tagger = pipeline("token-classification", model=str(folder), aggregation_strategy="first")
        assert isinstance(tagger("Amina alitoka Mombasa na kaka yake."), list)
        students = [record for record in records if record.lang == lang and record.is_student]
        best = max(students, key=lambda record: record.validation_score or 0)
        assert f"density {best.density:g}" in (folder / "README.md").read_text()


def test_trackers_are_told_of_every_step_but_the_packs(swept: Swept) -> None:
    _, plan, outcome = swept
    told = (outcome.run / "trackers" / "tensorboard.txt").read_text().split()
    assert sorted(told) == sorted(step.key for step in plan if step.kind != "pack")
    assert len(list((outcome.run / "tensorboard").glob("*/events.out.tfevents.*"))) == len(told)


def test_a_cluster_that_was_there_before_is_there_afterwards(swept: Swept) -> None:
    assert ray.is_initialized()


def test_a_second_time_nothing_is_run(swept: Swept, carry_out: Callable[..., Outcome]) -> None:
    config, plan, outcome = swept
    before, records = stamps(config), (outcome.run / "results.jsonl").read_bytes()
    shown = io.StringIO()
    again = carry_out(config, plan, "whole", shown)
    assert again.failed == {} and not again.interrupted
    assert stamps(config) == before
    assert (outcome.run / "results.jsonl").read_bytes() == records
    assert f"{len(plan)} of {len(plan)} steps were finished earlier" in shown.getvalue()


def test_another_run_takes_over_finished_steps(swept: Swept, carry_out: Callable[..., Outcome]) -> None:
    config, plan, outcome = swept
    before = stamps(config)
    only = Plan(tuple(step for step in plan if "ha" not in step.about.values()), plan.largest_model)
    other = carry_out(config.model_copy(update={"langs": ("sw",)}), only, "part")
    assert stamps(config) == before
    assert {record.step for record in read_records(other.run)} < {record.step for record in read_records(outcome.run)}


def test_a_storage_that_is_named_relatively_is_the_same_place_in_every_process(
    cluster: None,
    plan_of: Callable[..., tuple[RunConfig, Plan]],
    carry_out: Callable[..., Outcome],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    only = step("pack", "only")
    outcome = carry_out(plan_of(storage="runs")[0], Plan((only,)), "run", body=end_at_once)
    assert outcome.states == {only.key: ("done", "")}
    assert (tmp_path / "runs" / "steps" / only.key / "DONE").exists()


def test_a_language_that_fails_is_told_with_its_reason_and_the_other_is_finished(
    swept: Swept,
    plan_of: Callable[..., tuple[RunConfig, Plan]],
    carry_out: Callable[..., Outcome],
    tmp_path: Path,
) -> None:
    whole = swept[0]
    for lang in ("en", "sw"):
        (tmp_path / f"{lang}.parquet").symlink_to(Path(whole.corpora) / f"{lang}.parquet")
    pq.write_table(pa.table({"text": ["Mkulima anaimba."]}), tmp_path / "ha.parquet")
    config, plan = plan_of(storage=whole.storage, corpora=str(tmp_path), densities=[0.1])
    shown = io.StringIO()
    outcome = carry_out(config, plan, "broken", shown)
    states = {f"{step.kind} {step.about.get('lang') or step.about.get('languages')}": step.key for step in plan}
    states = {name: outcome.states[key] for name, key in states.items()}
    unfinished = {"pack en-ha", "distil ha", "finetune ha"}
    assert {name for name, (state, _) in states.items() if state != "done"} == unfinished
    state, reason = states["pack en-ha"]
    assert state == "failed"
    assert reason.startswith("the corpus of 'ha' gives 0 blocks for training"), "one line, as for any user's mistake"
    assert states["distil ha"] == ("skipped", "needs pack en-ha, which failed")
    assert states["finetune ha"][0] == "skipped"
    assert "the corpus of 'ha'" in shown.getvalue()
    assert sorted(path.name for path in (outcome.run / "best").iterdir()) == ["sw"]
    status = json.loads((outcome.run / "status.json").read_text())
    assert {key: (value["state"], value["reason"]) for key, value in status.items()} == outcome.states


@pytest.mark.slow
@pytest.mark.parametrize("workers", [2])
def test_ray_train_gives_the_student_that_the_trial_itself_would(
    workers: int,
    swept: Swept,
    plan_of: Callable[..., tuple[RunConfig, Plan]],
    carry_out: Callable[..., Outcome],
    tmp_path: Path,
) -> None:
    whole, plan, _ = swept
    (distil,) = (step for step in plan if step.kind == "distil" and step.about["lang"] == "sw")
    (tmp_path / "steps").mkdir()
    pack = distil.needs["pack"]
    (tmp_path / "steps" / pack).symlink_to(Path(whole.storage) / "steps" / pack)
    config, _ = plan_of(storage=str(tmp_path), execution={"launcher": "train", "workers": workers})
    only = Plan(tuple(step for step in plan if step.key in {pack, distil.key}), plan.largest_model)
    outcome = carry_out(config, only, f"train{workers}")
    assert outcome.failed == {} and not outcome.interrupted
    theirs, ours = (read_result(Path(place) / "steps" / distil.key) for place in (whole.storage, tmp_path))
    assert ours["tokens"] == theirs["tokens"]
    # One process does the very same; of two, sums are rounded in another order.
    assert ours["loss"] == (theirs["loss"] if workers == 1 else pytest.approx(theirs["loss"], rel=1e-4))


@pytest.mark.slow
def test_ray_train_tells_a_users_mistake_in_its_own_words_and_does_not_try_again(
    cluster: None, plan_of: Callable[..., tuple[RunConfig, Plan]], carry_out: Callable[..., Outcome], tmp_path: Path
) -> None:
    def body(job: Job, context: Context) -> dict[str, Any]:
        with (tmp_path / "attempts").open("a") as attempts:
            attempts.write("one\n")
        raise DataError("the corpus of 'sw' is too small")

    config, _ = plan_of(storage=str(tmp_path), execution={"launcher": "train"})
    only = step("distil", "sw")
    outcome = carry_out(config, Plan((only,)), "broken", body=body)
    assert outcome.states[only.key] == ("failed", "the corpus of 'sw' is too small")
    assert (tmp_path / "attempts").read_text() == "one\n"


def test_a_pack_waits_for_no_gpu_and_no_training_workers(
    cluster: None,
    plan_of: Callable[..., tuple[RunConfig, Plan]],
    carry_out: Callable[..., Outcome],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    on_gpus = Slot("train", workers=2, cpus=1.0, gpus=9.0)  # this cluster has one
    monkeypatch.setattr("bistil_ray.distributed.tuning.find_slot", lambda *given: (on_gpus, 1))
    config, plan = plan_of(storage=str(tmp_path))
    pack = plan.steps[0]
    outcome = carry_out(config, Plan((pack,)), "packed")
    assert outcome.states == {pack.key: ("done", "")}
    assert not (tmp_path / "train").exists(), "Ray Train would have left its folder"
