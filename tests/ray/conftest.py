"""One small Ray cluster for all tests here, and tiny sweeps to carry out on it."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from rich.console import Console

from bistil_ray.config import RunConfig
from bistil_ray.config_sources import load_config
from bistil_ray.distributed.launch import Body, quiet
from bistil_ray.distributed.progress import Board
from bistil_ray.distributed.sweep import Outcome, run_sweep
from bistil_ray.inputs import gather_facts
from bistil_ray.planning.plan import Plan, make_plan
from bistil_ray.run_storage import storage_at
from bistil_ray.steps.run import run_step
from tests.ray.told_steps import Told


@pytest.fixture
def told() -> Told:
    """What a searcher tells."""
    return Told()


@pytest.fixture(scope="session")
def cluster() -> Iterator[None]:
    """A cluster of this process's own, with more cores than the machine, so that nothing waits, and a GPU by name."""
    quiet()
    import ray

    ray.init(
        address="local",
        num_cpus=4,
        num_gpus=1,
        log_to_driver=False,
        logging_level="ERROR",
        include_dashboard=False,
        object_store_memory=100_000_000,
    )
    yield
    ray.shutdown()


@pytest.fixture(scope="session")
def plan_of(tiny_settings: dict[str, Any], bert_folder: Path) -> Callable[..., tuple[RunConfig, Plan]]:
    """A function planning a tiny sweep: two languages, two densities; keyword arguments change its settings.

    It runs two steps at a time: each process of a step takes seconds of CPU to import what it needs.
    """

    def plan(execution: Mapping[str, Any] = MappingProxyType({}), **changed: Any) -> tuple[RunConfig, Plan]:
        settings = {**tiny_settings, "teachers": [str(bert_folder)], "langs": ["sw", "ha"], "densities": [0.05, 0.2]}
        placed = {"max_parallel": 2, "gpus_per_worker": 0, **execution}
        config = load_config(None, (), {**changed, "execution": placed}, settings)
        return config, make_plan(config, gather_facts(config))

    return plan


@pytest.fixture(scope="session")
def carry_out() -> Callable[..., Outcome]:
    """A function carrying out a plan as the run ``name``; what is shown of it goes to ``shown``."""

    def sweep(
        config: RunConfig, plan: Plan, name: str, shown: io.StringIO | None = None, body: Body = run_step
    ) -> Outcome:
        run = storage_at(config.storage).folder / name
        return run_sweep(config, plan, run, Board(Console(file=shown or io.StringIO(), width=200)), body)

    return sweep


@pytest.fixture(scope="session")
def swept(
    cluster: None,
    plan_of: Callable[..., tuple[RunConfig, Plan]],
    carry_out: Callable[..., Outcome],
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[RunConfig, Plan, Outcome]:
    """A whole sweep that nothing disturbed."""
    config, plan = plan_of(storage=str(tmp_path_factory.mktemp("runs")))
    return config, plan, carry_out(config, plan, "whole")
