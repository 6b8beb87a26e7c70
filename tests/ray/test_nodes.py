"""Every node is asked, before work starts or when a step begins there: does it see the storage, has it this version."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import ray

from bistil_ray import __version__
from bistil_ray.distributed import nodes
from bistil_ray.distributed.keeping import run_kept
from bistil_ray.distributed.nodes import check_nodes, check_view, look
from bistil_ray.errors import ClusterError
from bistil_ray.steps.context import Context, Job, LocalContext
from bistil_ray.storage import write_json


@pytest.fixture
def second_node(cluster: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A node 10.0.0.6 that the cluster is said to have."""
    real = ray.nodes()
    other = {"NodeID": "ff" * 28, "NodeManagerAddress": "10.0.0.6", "Alive": True}
    gone = {"NodeID": "ee" * 28, "NodeManagerAddress": "10.0.0.7", "Alive": False}
    monkeypatch.setattr("ray.nodes", lambda: [*real, other, gone])


def test_on_one_node_nothing_is_asked(cluster: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nodes, "_look_from", lambda *_: pytest.fail("a node was asked"))
    check_nodes(tmp_path)


def test_a_node_tells_its_version_and_what_it_sees(cluster: None, tmp_path: Path) -> None:
    (tmp_path / "marker").write_bytes(b"")
    assert ray.get(look.remote(str(tmp_path / "marker"), 0)) == (__version__, True)
    assert ray.get(look.remote(str(tmp_path / "nothing"), 0)) == (__version__, False)


def test_a_node_that_sees_the_storage_is_fine_and_nothing_is_left_there(
    second_node: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nodes, "_look_from", lambda node, marker: look.remote(str(marker), 0))
    check_nodes(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ((__version__, False), "node 10.0.0.6 does not see {}: --storage must be a place that all nodes share"),
        (("0.0.1", True), f"node 10.0.0.6 has bistil-ray 0.0.1, but this is {__version__}: install one on all nodes"),
    ],
)
def test_a_node_that_does_not_is_named(
    second_node: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: tuple[str, bool], says: str
) -> None:
    monkeypatch.setattr(nodes, "_look_from", lambda *_: ray.put(answer))
    with pytest.raises(ClusterError) as error:
        check_nodes(tmp_path)
    assert str(error.value).startswith(says.format(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_a_node_that_cannot_look_is_named_too(
    second_node: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nodes, "_look_from", lambda *_: broken.remote())
    with pytest.raises(ClusterError, match=f"^node 10.0.0.6 cannot run bistil-ray {__version__}: .*no such package; "):
        check_nodes(tmp_path)


def test_a_step_on_a_node_that_does_not_see_the_storage_fails_before_anything_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nodes, "CACHE_SECONDS", 0.0)
    begun: list[Job] = []

    def body(job: Job, context: Context) -> dict[str, Any]:
        begun.append(job)
        return {}

    job = Job("pack", {}, {}, {}, tmp_path / "steps" / "pack-1")
    with pytest.raises(ClusterError, match=rf"^node \S+ does not see {tmp_path}: --storage must be"):
        run_kept(job, LocalContext(), body, str(tmp_path), tmp_path / "mine")
    assert not begun
    assert not list(tmp_path.iterdir())
    write_json(tmp_path / "mine" / "plan.json", {})
    run_kept(job, LocalContext(), body, str(tmp_path), tmp_path / "mine")
    assert begun == [job]


def test_a_worker_whose_view_is_fine_ends_with_the_one_whose_view_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nodes, "total", lambda values: [sum(values) + 1])
    write_json(tmp_path / "mine" / "plan.json", {})
    with pytest.raises(ClusterError, match=f"^the node of another worker of this step does not see {tmp_path}: "):
        check_view(tmp_path / "mine" / "plan.json")


@ray.remote(num_cpus=0, max_retries=0)
def broken() -> None:
    raise ModuleNotFoundError("no such package")
