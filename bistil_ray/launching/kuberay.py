"""A RayJob for KubeRay: the fields that we use, as the operator's API (ray.io/v1, 1.6) has them, and our checks."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from itertools import pairwise
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from ..config_sources import parse_yaml
from .findings import Finding, check_image, check_package, refuse, versions_found
from .render import is_uri, versions

Count = Annotated[int, Field(ge=0)]


class Part(BaseModel):
    """A part of the file whose keys we know all of: others are refused, as misspelt ones would be dropped silently."""

    model_config = ConfigDict(extra="forbid", alias_generator=to_camel)


class Free(BaseModel):
    """A part that is Kubernetes' own: what we look at has a type, the rest is left to the API server."""

    model_config = ConfigDict(extra="allow", alias_generator=to_camel)


class Mount(Free):
    """Where a container sees a volume."""

    name: str
    mount_path: str


class Container(Free):
    """A container of a pod."""

    name: str
    image: str
    volume_mounts: list[Mount] = []


class Volume(Free):
    """A volume of a pod."""

    name: str
    persistent_volume_claim: dict[str, Any] | None = None


class PodSpec(Free):
    """What a pod is made of."""

    containers: Annotated[list[Container], Field(min_length=1)]
    volumes: list[Volume] = []


class Template(Free):
    """The template of a pod."""

    spec: PodSpec


class AuthOptions(Part):
    """Whether requests need a token."""

    mode: Literal["token", "disabled"]
    secret_name: str | None = None


class AutoscalerOptions(Part):
    """How Ray's autoscaler behaves."""

    idle_timeout_seconds: Count = 60
    upscaling_mode: Literal["Default", "Aggressive", "Conservative"] | None = None
    version: Literal["v1", "v2"] | None = None


class HeadGroup(Part):
    """The head."""

    service_type: str = "ClusterIP"
    enable_ingress: bool = False
    ray_start_params: dict[str, str]
    template: Template


class WorkerGroup(Part):
    """Workers of one kind."""

    group_name: str
    replicas: Count = 0
    min_replicas: Count = 0
    max_replicas: Count
    ray_start_params: dict[str, str]
    template: Template


class ClusterSpec(Part):
    """The cluster that a RayJob makes."""

    ray_version: str
    auth_options: AuthOptions
    enable_in_tree_autoscaling: bool = False
    autoscaler_options: AutoscalerOptions = AutoscalerOptions()
    head_group_spec: HeadGroup
    worker_group_specs: Annotated[list[WorkerGroup], Field(min_length=1)]


class JobSpec(Part):
    """What is run, and on what."""

    entrypoint: str
    shutdown_after_job_finishes: bool
    ttl_seconds_after_finished: Count = 0
    active_deadline_seconds: Count | None = None
    # The operator's own spelling, which no rule gives.
    runtime_env: Annotated[str, Field(alias="runtimeEnvYAML")] = ""
    ray_cluster_spec: ClusterSpec


class RayJob(Part):
    """The whole file."""

    api_version: Literal["ray.io/v1"]
    kind: Literal["RayJob"]
    metadata: dict[str, Any]
    spec: JobSpec


def check_kuberay(values: dict[str, Any]) -> Iterator[Finding]:
    """Check a RayJob's fields and then what they say; raises ConfigError at the first mistake."""
    try:
        job = RayJob.model_validate(values).spec
    except ValidationError as problem:
        first = problem.errors()[0]
        field = ".".join(map(str, first["loc"]))
        raise refuse(field, first["input"], first["msg"][:1].lower() + first["msg"][1:]) from problem
    yield Finding("schema", "the fields of RayJob (ray.io/v1)")
    cluster = job.ray_cluster_spec
    yield _exposure(cluster)
    if cluster.auth_options.mode != "token":
        raise refuse("rayClusterSpec.authOptions.mode", cluster.auth_options.mode, "must be token")
    yield Finding("token", "made by the operator, asked for by every pod")
    yield _versions(job)
    yield _storage(job)
    yield _from_zero(cluster)


def _exposure(cluster: ClusterSpec) -> Finding:
    head = cluster.head_group_spec
    if head.service_type != "ClusterIP":
        allowed = "must be ClusterIP: the dashboard runs jobs of anyone who reaches it"
        raise refuse("headGroupSpec.serviceType", head.service_type, allowed)
    if head.enable_ingress:
        raise refuse("headGroupSpec.enableIngress", True, "must be false: the dashboard is not for the outside")
    return Finding("dashboard", "inside the cluster only (ClusterIP, no ingress)")


def _pods(cluster: ClusterSpec) -> Iterator[tuple[str, PodSpec]]:
    yield "headGroupSpec", cluster.head_group_spec.template.spec
    for group in cluster.worker_group_specs:
        yield f"workerGroupSpecs.{group.group_name}", group.template.spec


def _versions(job: JobSpec) -> Finding:
    cluster = job.ray_cluster_spec
    if cluster.ray_version != versions()["ray"]:
        allowed = f"must be {versions()['ray']}, which runs here"
        raise refuse("rayClusterSpec.rayVersion", cluster.ray_version, allowed)
    for field, pod in _pods(cluster):
        for container in pod.containers:
            check_image(f"{field}.{container.name}.image", container.image)
    runtime = parse_yaml(job.runtime_env, "runtimeEnvYAML") or {}
    if not isinstance(runtime, dict):
        raise refuse("runtimeEnvYAML", runtime, "must hold key: value pairs")
    if "pip" in runtime:  # without it the package is in the image, as every node is asked when a sweep begins
        check_package("runtimeEnvYAML", f"{runtime['pip']} ")
    return versions_found()


def _storage(job: JobSpec) -> Finding:
    words = _words(job.entrypoint)
    storage = next((after for word, after in pairwise(words) if word == "--storage"), "")
    storage = next((word.partition("=")[2] for word in words if word.startswith("--storage=")), storage)
    if is_uri(storage):
        return Finding("storage", storage)
    for field, pod in _pods(job.ray_cluster_spec):
        claims = {volume.name for volume in pod.volumes if volume.persistent_volume_claim}
        mounts = [mount for container in pod.containers for mount in container.volume_mounts if mount.name in claims]
        if not storage or not any(PurePosixPath(storage).is_relative_to(mount.mount_path) for mount in mounts):
            allowed = f"must be s3://..., gs://... or lie in a PersistentVolumeClaim that {field} mounts"
            raise refuse("entrypoint's --storage", storage, allowed)
    return Finding("storage", f"{storage}, a claim mounted by every pod")


def _words(command: str) -> list[str]:
    """Take a command apart as a shell does; ConfigError where a part of it would run in the background."""
    try:
        lexer = shlex.shlex(command, posix=True, punctuation_chars="&")
        lexer.whitespace_split, lexer.commenters = True, ""
        words = list(lexer)
    except ValueError as problem:
        raise refuse("entrypoint", command, f"is no command: {problem}") from problem
    if "&" in words:
        raise refuse("entrypoint", command, "a bare & ends the command there: put the word that has it in quotes")
    return words


def _from_zero(cluster: ClusterSpec) -> Finding:
    for group in cluster.worker_group_specs:
        for field, count in (("minReplicas", group.min_replicas), ("replicas", group.replicas)):
            if count:
                allowed = "must be 0, so that nothing is paid for while nothing runs"
                raise refuse(f"workerGroupSpecs.{group.group_name}.{field}", count, allowed)
    if not cluster.enable_in_tree_autoscaling:
        raise refuse("rayClusterSpec.enableInTreeAutoscaling", False, "must be true: workers start from zero")
    most = sum(group.max_replicas for group in cluster.worker_group_specs)
    idle = cluster.autoscaler_options.idle_timeout_seconds / 60
    return Finding("scaling", f"0 to {most} workers, given back after {idle:g} idle minutes")
