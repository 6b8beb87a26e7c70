"""What every node of a cluster must have: this version of the package, and a view of the storage.

Nodes that are there before work starts are asked then, those that come later when a step begins on them.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from .. import __version__
from ..errors import ClusterError
from ..train.ranks import total

START_SECONDS = 120.0
"""How long a node may take to start the process that looks."""
CACHE_SECONDS = 10.0
"""How long a network file system may hide a new file from other machines."""
_BLIND = "{node} does not see {storage}: --storage must be a place that all nodes share, such as an NFS mount"


def check_nodes(storage: Path | None) -> None:
    """Ask every other node for its version, and to look for a file that this process writes into ``storage``.

    Raises ClusterError, which names the node, if one has another version of bistil-ray or does not see the file. There
    is nothing to see in a storage that is no folder: None.
    """
    here = ray.get_runtime_context().get_node_id()
    others = {node["NodeID"]: node["NodeManagerAddress"] for node in ray.nodes() if node["Alive"]}
    del others[here]
    if not others:
        return
    with _marker_in(storage) as marker:
        answers = {node: _look_from(node, marker) for node in others}
        for node, answer in answers.items():
            _require(*_given(answer, others[node]), node=others[node], storage=storage)


@contextmanager
def _marker_in(storage: Path | None) -> Iterator[Path]:
    if storage is None:
        yield Path("/")  # every node sees it
        return
    marker = storage / f".seen-{uuid.uuid4().hex}"
    marker.write_bytes(b"")
    try:
        yield marker
    finally:
        marker.unlink()


def _look_from(node: str, marker: Path) -> Any:  # noqa: ANN401
    on_it = NodeAffinitySchedulingStrategy(node, soft=False)
    return look.options(scheduling_strategy=on_it).remote(str(marker), CACHE_SECONDS)


@ray.remote(num_cpus=0, max_retries=0)
def look(marker: str, patience: float) -> tuple[str, bool]:
    """On a node: give its version of the package, and whether it sees the file ``marker``."""
    return __version__, _sees(Path(marker), patience)


def _sees(marker: Path, patience: float) -> bool:
    deadline = time.monotonic() + patience
    while not (seen := marker.exists()) and time.monotonic() < deadline:
        time.sleep(0.5)
    return seen


def check_view(marker: Path) -> None:
    """Look from the node of every rank for ``marker``, a file of the run that is there before its first step.

    Raises ClusterError on all ranks, so that none waits for another, if one does not see it.
    """
    seen = _sees(marker, CACHE_SECONDS)
    if total([not seen])[0]:
        node = f"node {ray.util.get_node_ip_address()}" if not seen else "the node of another worker of this step"
        raise ClusterError(_BLIND.format(node=node, storage=marker.parents[1]))


def _given(answer: Any, node: str) -> tuple[str, bool]:  # noqa: ANN401
    try:
        version, seen = ray.get(answer, timeout=START_SECONDS)
    except (ray.exceptions.RayError, ImportError) as problem:
        last = str(problem).strip().splitlines()[-1]
        raise ClusterError(
            f"node {node} cannot run bistil-ray {__version__}: {last}; install it on every node"
        ) from problem
    return version, seen


def _require(version: str, seen: bool, *, node: str, storage: Path | None) -> None:
    if version != __version__:
        raise ClusterError(f"node {node} has bistil-ray {version}, but this is {__version__}: install one on all nodes")
    if not seen:
        raise ClusterError(_BLIND.format(node=f"node {node}", storage=storage))
