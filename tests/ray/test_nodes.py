"""Before work starts every other node is asked: does it see the storage, has it the same version of the package."""

from __future__ import annotations

from pathlib import Path

import pytest
import ray

from bistil_ray import __version__
from bistil_ray.distributed import nodes
from bistil_ray.distributed.nodes import check_nodes, look
from bistil_ray.errors import ClusterError


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


@ray.remote(num_cpus=0, max_retries=0)
def broken() -> None:
    raise ModuleNotFoundError("no such package")
