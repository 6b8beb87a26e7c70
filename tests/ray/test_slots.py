"""How much room a step gets and how many steps run side by side follows from what the cluster has."""

from __future__ import annotations

import dataclasses

import pytest

from bistil_ray.distributed.cluster import Resources, find_slot, places_for, resources_to_come
from bistil_ray.distributed.gpu_share import GpuRoom
from bistil_ray.errors import ConfigError
from bistil_ray.planning.plan import Plan
from bistil_ray.planning.step import Step
from bistil_ray.settings import Execution

GB = 1e9
PLAN = Plan((), largest_model=1_000_000)
LARGE = Plan((), largest_model=280_000_000, most_states=2048 * 768 * 12)


def cpus(count: int, memory: float = 1000 * GB, nodes: int = 1) -> Resources:
    return Resources(count, 0, nodes, memory, count / nodes)


def gpus(count: int, cores: int = 64) -> Resources:
    return Resources(cores, count, 1, 1000 * GB, cores)


def test_a_small_machine_runs_a_step_on_each_core() -> None:
    slot, parallel = find_slot(Execution(), cpus(2), PLAN)
    assert (slot.launcher, slot.workers, slot.cpus, slot.gpus, parallel) == ("process", 1, 1, 0, 2)


def test_a_step_gets_a_quarter_of_a_large_machine() -> None:
    slot, parallel = find_slot(Execution(), cpus(64), PLAN)
    assert (slot.cpus, parallel) == (16, 4)


@pytest.mark.parametrize(
    "resources", [cpus(32, nodes=8), cpus(64, nodes=16), Resources(20, 1, 2, 1000 * GB, node_cpus=4)]
)
def test_a_step_needs_no_more_cores_than_a_node_has(resources: Resources) -> None:
    slot, parallel = find_slot(Execution(), resources, PLAN)
    assert (slot.cpus, slot.trial_resources["CPU"] < 4) == (4, True)
    assert parallel == (resources.gpus or resources.nodes)


def test_a_small_node_beside_large_ones_makes_no_step_small() -> None:
    slot, parallel = find_slot(Execution(), Resources(258, 0, 5, 1000 * GB, node_cpus=64), PLAN)
    assert (slot.cpus, parallel) == (64, 4)


@pytest.mark.parametrize("share", [0.05, 0.1, 0.2, 0.25, 1 / 3, 0.5, 1])
@pytest.mark.parametrize("count", [1, 2, 8])
def test_shares_of_a_gpu_fill_it(share: float, count: int) -> None:
    _, parallel = find_slot(Execution(gpus_per_worker=share), gpus(count, cores=4096), PLAN)
    assert parallel == round(count / share)


def test_a_share_is_of_one_gpu_or_of_whole_ones() -> None:
    assert Execution(gpus_per_worker=2).gpus_per_worker == 2
    with pytest.raises(ValueError, match="must be a share of a GPU, from 0 to 1, or a whole number of them"):
        Execution(gpus_per_worker=1.5)


def test_trials_leave_room_for_the_tasks_that_read_data() -> None:
    slot, parallel = find_slot(Execution(), cpus(2), PLAN)
    assert slot.trial_resources["CPU"] * parallel <= 2 - 0.2


@pytest.mark.parametrize("resources", [gpus(4), cpus(4), cpus(4, nodes=2)])
def test_one_worker_trains_in_its_trial_and_several_under_ray_train(resources: Resources) -> None:
    slot, _ = find_slot(Execution(), resources, PLAN)
    assert slot.launcher == "process"
    assert slot.trial_resources.get("GPU", 0.0) == slot.gpus, "the trial holds what it trains on"
    assert find_slot(Execution(launcher="train"), resources, PLAN)[0].launcher == "train"
    slot, _ = find_slot(Execution(workers=2), resources, PLAN)
    assert slot.launcher == "train"
    assert 0 < slot.trial_resources["CPU"] <= 0.01, "a trial must not hold what its workers need"
    assert "GPU" not in slot.trial_resources


def test_each_step_gets_a_gpu_of_its_own() -> None:
    slot, parallel = find_slot(Execution(), gpus(4), PLAN)
    assert (slot.gpus, parallel) == (1, 4)


def places(execution: Execution, resources: Resources, plan: Plan = PLAN) -> tuple[dict[str, int], GpuRoom | None]:
    return places_for(execution, resources, plan, *find_slot(execution, resources, plan))


def test_beside_gpus_half_of_the_cores_is_left_for_as_many_packs() -> None:
    slot, parallel = find_slot(Execution(), gpus(4), PLAN)
    assert slot.cpus * parallel == 32
    assert places(Execution(launcher="train"), gpus(4)) == ({"models": 4, "packs": 4}, None)
    assert places(Execution(), cpus(64)) == ({"models": 4}, None), "without GPUs all need the same cores"
    pack = slot.with_share(0.0)
    assert (pack.launcher, pack.trial_resources) == ("process", {"CPU": 0.01}), "what it does is done by data tasks"


@pytest.mark.parametrize(
    ("execution", "cores", "memory", "models", "packs"),
    [
        (Execution(), 64, 1000, 32, 4),
        (Execution(), 24, 1000, 12, 4),
        (Execution(), 64, 20, 16, 4),
        (Execution(max_parallel=6), 64, 1000, 6, 4),
        (Execution(max_parallel=3), 64, 1000, 3, 3),
        (Execution(gpus_per_worker=1), 64, 1000, 4, 4),
        (Execution(gpus_per_worker=0.5), 64, 1000, 8, 8),
    ],
)
def test_how_many_may_share_gpus_is_limited_by_cores_memory_and_the_user(
    execution: Execution, cores: int, memory: float, models: int, packs: int
) -> None:
    found, room = places(execution, Resources(cores, 4, 1, memory * GB, cores))
    assert found == {"models": models, "packs": packs}
    assert room is not None


def test_a_share_of_a_gpu_comes_with_a_share_of_its_cores() -> None:
    slot, _ = find_slot(Execution(), gpus(4), PLAN)
    quarter = slot.with_share(0.25)
    assert (quarter.gpus, quarter.cpus, quarter.trial_resources["GPU"]) == (0.25, 2, 0.25)
    assert slot.with_share(1.0) == slot
    assert slot.with_share(1 / 8).cpus == 1
    assert slot.with_share(0.125).trial_resources["CPU"] * 8 <= slot.cpus


def test_fractions_of_a_gpu_let_steps_share_one() -> None:
    slot, parallel = find_slot(Execution(gpus_per_worker=0.25), gpus(2), PLAN)
    assert (slot.gpus, slot.cpus, parallel) == (0.25, 4, 8)


def test_several_workers_take_several_gpus() -> None:
    slot, parallel = find_slot(Execution(workers=2), gpus(8), PLAN)
    assert (slot.workers, slot.gpus, parallel) == (2, 1, 4)


def test_several_workers_on_cpus_share_the_cores() -> None:
    slot, parallel = find_slot(Execution(workers=2), cpus(16), PLAN)
    assert (slot.launcher, slot.workers, slot.cpus, parallel) == ("train", 2, 2, 4)


def test_few_cores_beside_many_gpus_limit_what_runs() -> None:
    slot, parallel = find_slot(Execution(gpus_per_worker=0.1), gpus(4, cores=8), PLAN)
    assert (slot.cpus, parallel) == (1, 8)


def test_memory_limits_how_many_run() -> None:
    assert find_slot(Execution(), cpus(64, memory=20 * GB), LARGE)[1] == 2
    assert find_slot(Execution(), cpus(64, memory=1 * GB), LARGE)[1] == 1, "one is always tried"


def test_batches_take_memory_where_they_are_computed_and_workers_share_them() -> None:
    larger = dataclasses.replace(LARGE, most_states=8 * LARGE.most_states)
    assert find_slot(Execution(), cpus(64, memory=70 * GB), LARGE)[1] == 4
    assert find_slot(Execution(), cpus(64, memory=70 * GB), larger)[1] == 2
    assert find_slot(Execution(workers=2), cpus(64, memory=70 * GB), larger)[1] == 2
    on_gpus = Resources(64, 4, 1, 70 * GB, 64)
    assert find_slot(Execution(), on_gpus, larger)[1] == find_slot(Execution(), on_gpus, LARGE)[1] == 4
    assert find_slot(Execution(gpus_per_worker=0), on_gpus, larger)[1] == 2


def test_students_that_share_their_teacher_need_their_room_in_one_process() -> None:
    students = [
        Step("distil", {"objective": "relations", "mask": 0.15, "seed": 0}, {}, {}, name, {})
        for name in ("a", "b", "c")
    ]
    plan = dataclasses.replace(LARGE, steps=tuple(students))
    assert find_slot(Execution(), cpus(64, memory=20 * GB), plan)[1] == 2
    assert find_slot(Execution(share_teacher=True), cpus(64, memory=20 * GB), plan)[1] == 1
    assert find_slot(Execution(share_teacher=True), cpus(64, memory=30 * GB), plan)[1] == 2


def test_the_user_can_ask_for_fewer() -> None:
    assert find_slot(Execution(max_parallel=1), cpus(64), PLAN)[1] == 1
    assert find_slot(Execution(max_parallel=9), cpus(64), PLAN)[1] == 4


def test_on_a_cluster_that_grows_the_user_says_how_far() -> None:
    execution = Execution(autoscaling=True, gpus_per_worker=1, max_parallel=8)
    slot, parallel = find_slot(execution, cpus(2), PLAN)
    assert (slot.launcher, slot.gpus, parallel) == ("process", 1, 8), "its nodes are not there yet"
    several = Execution(autoscaling=True, gpus_per_worker=1, max_parallel=8, workers=2)
    assert find_slot(several, cpus(2), PLAN)[0].launcher == "train"
    assert find_slot(execution, cpus(0), PLAN)[1] == 8, "not even one"
    grown = resources_to_come(Execution(autoscaling=True, gpus_per_worker=0.5, max_parallel=8, workers=2))
    assert (grown.cpus, grown.gpus) == (16, 8)


@pytest.mark.parametrize(
    ("execution", "resources", "message"),
    [
        (Execution(autoscaling=True, max_parallel=8), cpus(2), "give --gpus-per-worker"),
        (Execution(autoscaling=True, gpus_per_worker=1), cpus(2), "and --max-parallel"),
        (Execution(workers=4), gpus(2), "needs 4 GPUs, but the cluster has 2"),
        (Execution(gpus_per_worker=1), cpus(8), "needs 1 GPUs, but the cluster has 0"),
        (Execution(workers=8), cpus(4), "needs 8 CPUs, but the cluster has 4"),
        (Execution(), cpus(0), "has 0 .if it grows on demand: --set execution.autoscaling=true"),
        (Execution(workers=2, launcher="process"), cpus(8), "--workers 2 needs Ray Train"),
    ],
)
def test_what_cannot_fit_is_refused(execution: Execution, resources: Resources, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        find_slot(execution, resources, PLAN)
