"""Work on a storage that is a bucket: what is needed is fetched, what is made is published, whichever node it is on.

In a storage that is a folder there is nothing to do, but to look whether this node sees it as all nodes should.
"""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import ray
import ray.data
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from ..errors import StorageError
from ..results.records import PLAN, RESULTS
from ..run_storage import RunStorage, storage_at
from ..steps.context import Context, Job
from ..storage import CHECKPOINTS, METRICS, RESULT
from ..train.state import checkpoints
from .launch import Body
from .nodes import check_view

log = logging.getLogger(__name__)


def run_kept(job: Job, context: Context, body: Body, place: str, run: Path) -> dict[str, Any]:
    """Run ``body``, for the run in a folder, on this node's working copy of the storage at ``place``, and publish it.

    The step's folder is published whenever there is a new checkpoint, so that another node can go on from there, and at
    the end. Raises ClusterError where this node does not see a storage that is a folder.
    """
    storage = storage_at(place)
    if storage.is_folder:
        check_view(run / PLAN)  # not by ``place``, which may be relative: processes of Ray have other folders
        return body(job, context)
    here = replace(
        job,
        folder=storage.folder / _name(job.folder),
        needs={role: storage.folder / _name(folder) for role, folder in job.needs.items()},
    )
    storage.fetch([_name(folder) for folder in (*here.needs.values(), here.folder)])
    _keep_data_tasks_here()
    try:
        return body(here, _Publishing(context, storage, here.folder))
    finally:  # also when it failed, for its log, or was told to end, for its checkpoint
        if context.rank == 0:
            storage.publish(_name(here.folder))


class KeptRun:
    """The folder of a run: found in its storage when the run begins, published there as it changes."""

    def __init__(self, storage: RunStorage, run: Path) -> None:
        """Fetch what another machine may have left of the run at ``run``: its records, what trackers were told."""
        self._storage, self._name = storage, run.name
        self._published = time.monotonic()
        storage.fetch([f"{run.name}/{RESULTS}", f"{run.name}/trackers"])

    def fetch_result(self, step: str) -> None:
        """Bring the result of a finished step here, and what it reported."""
        self._storage.fetch(f"steps/{step}/{file}" for file in (RESULT, METRICS))

    def publish(self, pause: float = 0.0) -> None:
        """Publish the run, but not within ``pause`` seconds of the last time; Tune's own files stay here.

        Where there is a pause, there is a next time: a bucket that is away for a while does not end the run.
        """
        if time.monotonic() - self._published < pause:
            return
        try:
            self._storage.publish(self._name, without="tune")
        except StorageError as problem:
            if not pause:
                raise
            log.warning("the run is published later: %s", problem)
        self._published = time.monotonic()


def _name(folder: Path) -> str:
    """The name of a step's folder in every storage: ``steps/<key>``."""
    return "/".join(folder.parts[-2:])


def _keep_data_tasks_here() -> None:
    """Let tasks that read and write shards run where this step's working copy is."""
    node = ray.get_runtime_context().get_node_id()
    ray.data.DataContext.get_current().scheduling_strategy = NodeAffinitySchedulingStrategy(node, soft=False)


class _Publishing:
    """A context that publishes the step's folder when there is a new checkpoint in it."""

    def __init__(self, inner: Context, storage: RunStorage, folder: Path) -> None:
        self._inner, self._storage, self._folder = inner, storage, folder
        self._published = checkpoints(folder / CHECKPOINTS)[:1]

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        return getattr(self._inner, name)

    def report(self, metrics: dict[str, Any]) -> None:
        self._inner.report(metrics)
        newest = checkpoints(self._folder / CHECKPOINTS)[:1]
        if self._inner.rank == 0 and newest != self._published:
            self._storage.publish(_name(self._folder))
            self._published = newest
