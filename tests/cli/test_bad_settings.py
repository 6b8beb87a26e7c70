"""Settings that cannot be end before anything starts: exit code 2, one line on what to change, nothing written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

Bistil = Callable[..., tuple[int, str, str]]
Refused = Callable[..., str]


def test_without_mistakes_a_sweep_would_start(bistil: Bistil, mine: str) -> None:
    code, out, err = bistil("sweep", "--config", mine, "--plan")
    assert (code, err) == (0, "")
    assert "finetune" in out


@pytest.mark.parametrize("plan", [(), ("--plan",), ("--plan", "--json")])
@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--langs", "swahli"], "unknown language 'swahli' in --langs; did you mean sw (Swahili)"),
        (["--langs", "sw,xq"], "unknown language 'xq' in --langs"),
        (["--task-sources", "en,xq"], "unknown language 'xq' in --task-sources"),
        (["--set", "langs=xq"], "unknown language 'xq' in "),
        (["--address", ""], "--address '' is not a cluster's head"),
        (["--langs", "sw,en"], "--langs holds the source language 'en'"),
        (["--source", "englich"], "unknown language 'englich' in --source"),
        (["--densities", "0"], "--densities is '0': must be greater than 0"),
        (["--densities", "0.1,1.5"], "--densities is '1.5': must be less than or equal to 1"),
        (["--workers", "0"], "--workers is 0"),
        (["--workers", "many"], "--workers"),
        (["--workers", "999"], "--workers 999 needs 999 CPUs, but the cluster has"),
        (["--gpus-per-worker", "99"], "with --gpus-per-worker 99 needs 99 GPUs, but the cluster has"),
        (["--storage", "runs/\udcff"], "--storage is 'runs/\\udcff': it must be UTF-8"),
        (
            ["--recipes", "magic"],
            "--recipes is 'magic': must be 'bistil', 'scratch', 'distilmbert', 'minilmv2', 'nodistil'",
        ),
        (["--task", "chess"], "--task is 'chess': must be 'ner', 'pos', 'dep', 'nli', 'qa', 'topic' or 'sentiment'"),
        (["--layers", "half"], "--layers is 'half'"),
        (["--name", "../mine"], "--name is '../mine'"),
        (["--set", "distil.steps"], "--set 'distil.steps' has no '='"),
        (["--set", "distil.stesp=5"], "did you mean 'distil.steps'?"),
        (["--set", "packing.length=256"], "packing.length is 256, but"),
        (["--config", "sampel"], "--config 'sampel' is neither a file nor one of african-ner, bistil-paper,"),
        (["--config", "no/such.yaml"], "--config 'no/such.yaml': no such file"),
    ],
)
def test_settings_that_cannot_be(refused: Refused, plan: tuple[str, ...], flags: list[str], says: str) -> None:
    assert says in refused(*flags, *plan)


def test_the_sample_has_labels_of_one_task(refused: Refused) -> None:
    says = "the embedded sample has labels for ner, not for pos: give --task-data"
    assert says in refused(command=("sweep", "--langs", "sw", "--task", "pos"))


def test_what_is_not_given_is_asked_for(refused: Refused, bistil: Bistil) -> None:
    assert "langs is not set: give it with --langs" in refused(command=("sweep",))
    assert "corpora is not set: give it with --corpora" in refused(
        command=("sweep", "--langs", "sw", "--teachers", "big")
    )


@pytest.mark.parametrize("langs", ["swahli", "sw,en,nonsense"])
def test_a_mistake_leaves_no_sample_behind(refused: Refused, tmp_path: Path, langs: str) -> None:
    refused(command=("sweep", "--langs", langs, "--storage", str(tmp_path / "new")))
    assert not (tmp_path / "new").exists()


def test_a_storage_that_cannot_be_written(refused: Refused, tmp_path: Path, mine: str) -> None:
    (tmp_path / "file").touch()
    for place in (tmp_path / "file", tmp_path / "file" / "runs"):
        assert f"cannot write to {place}: " in refused("--storage", str(place))
    assert "--storage is 'hdfs://host/runs'" in refused("--storage", "hdfs://host/runs")
    nothing_given = ("sweep", "--langs", "sw", "--storage", str(tmp_path / "file"))
    assert "choose another folder with --storage" in refused(command=nothing_given)


def test_the_name_of_a_run_that_is_another_one(refused: Refused, bistil: Bistil, mine: str, tmp_path: Path) -> None:
    from bistil_ray.config_sources import load_config
    from bistil_ray.distributed.sweep import open_run
    from bistil_ray.planning.plan import Plan

    run = tmp_path / "runs" / "first"
    open_run(load_config(mine, ["name=first"]), Plan(()), run)
    for plan in ((), ("--plan",)):
        err = refused("--name", "first", "--densities", "0.5", "--set", "distil.steps=3", *plan)
        assert "'first' was made with another configuration (densities: 0.08 -> 0.5; distil.steps: 200000 -> 3)" in err
        assert f"--config {run}/config.yaml" in err and "another --name" in err
    assert bistil("sweep", "--config", mine, "--name", "first", "--workers", "2", "--plan")[0] == 0
    assert bistil("sweep", "--config", str(run / "config.yaml"), "--plan")[0] == 0
