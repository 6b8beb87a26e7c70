"""Checks of a file for ``ray up``, beyond Ray's own schema: exposure, token, versions, storage, scaling from zero."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

from .findings import Finding, check_image, check_package, refuse, versions_found
from .render import is_uri, versions

LOOPBACK = ("127.0.0.1", "localhost", "::1")
TOKEN = "~/.ray/auth_token"
DASHBOARD = re.compile(r"--dashboard-host[= ](\S+)")
MOUNT = re.compile(r"\bmountpoint -q ([^\s|;&$]+)")
OWN_MOUNT = re.compile(r"\bmountpoint -q \$\(df --output=target (\S+)")
PYTHON = re.compile(r"\bpython(3\.\d+)\b")
STARTS = ("head_start_ray_commands", "worker_start_ray_commands")


def check_vms(config: dict[str, Any]) -> Iterator[Finding]:
    """Check a file as ``ray up`` reads it, Ray's own defaults filled in; raises ConfigError at the first mistake."""
    yield _dashboard(config)
    yield _token(config)
    yield _versions(config)
    yield _storage(config)
    yield _from_zero(config)


def _dashboard(config: dict[str, Any]) -> Finding:
    for field, command in _starts(config):
        for host in DASHBOARD.findall(command):
            if host not in LOOPBACK:
                allowed = "the dashboard runs jobs of anyone who reaches it: must be --dashboard-host=127.0.0.1"
                raise refuse(field, f"--dashboard-host={host}", allowed)
    return Finding("dashboard", "on the loopback address only")


def _token(config: dict[str, Any]) -> Finding:
    in_container = "RAY_AUTH_MODE=token" in " ".join(_run_options(config))
    for field, command in _starts(config):
        if not in_container and "RAY_AUTH_MODE=token" not in command:
            raise refuse(field, command, "must start Ray with RAY_AUTH_MODE=token")
    if TOKEN not in config["file_mounts"]:
        raise refuse("file_mounts", sorted(config["file_mounts"]), f"must bring {TOKEN} to every node")
    return Finding("token", f"asked for on every node, brought there from {config['file_mounts'][TOKEN]}")


def _versions(config: dict[str, Any]) -> Finding:
    images = {name: config["docker"].get(name) for name in ("image", "head_image", "worker_image")}
    for name, image in images.items():
        if image is not None:
            check_image(f"docker.{name}", image)
    commands = " ; ".join(config["setup_commands"])
    check_package("setup_commands", f"{commands} ")
    for python in PYTHON.findall(commands):
        if f"python{python}" != versions()["python-name"]:
            raise refuse("setup_commands", f"python{python}", f"must be {versions()['python-name']}, which runs here")
    return versions_found()


def _storage(config: dict[str, Any]) -> Finding:
    storage = str(config.get("metadata", {}).get("storage", ""))
    if is_uri(storage):
        return Finding("storage", storage)
    commands = " ; ".join([*config["initialization_commands"], *config["setup_commands"]])
    if storage in OWN_MOUNT.findall(commands):
        return Finding("storage", f"{storage}, which every machine must have mounted")
    mounted = MOUNT.findall(commands)
    inside = [folder for folder in mounted if PurePosixPath(storage).is_relative_to(folder)]
    if not storage or not inside:
        allowed = "must be s3://..., gs://... or lie in a folder that initialization_commands mount on every node"
        raise refuse("metadata.storage", storage, f"{allowed} ({', '.join(mounted) or 'none is mounted'})")
    if config["docker"].get("image") and f"-v {inside[0]}:{inside[0]}" not in _run_options(config):
        raise refuse("docker.run_options", _run_options(config), f"must hold -v {inside[0]}:{inside[0]}, for {storage}")
    return Finding("storage", f"{storage}, mounted on every node")


def _from_zero(config: dict[str, Any]) -> Finding:
    workers = {name: kind for name, kind in config["available_node_types"].items() if name != config["head_node_type"]}
    if config["provider"]["type"] == "local":  # its one type of node is the head's and the workers'
        workers = config["available_node_types"]
    for name, kind in workers.items():
        if kind.get("min_workers", 0):
            allowed = "must be 0, so that nothing is paid for while nothing runs"
            raise refuse(f"available_node_types.{name}.min_workers", kind["min_workers"], allowed)
    idle = config["idle_timeout_minutes"]
    return Finding("scaling", f"0 to {config['max_workers']} workers, given back after {idle:g} idle minutes")


def _starts(config: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for field in STARTS:
        for index, command in enumerate(config[field]):
            if "ray start" in command:
                yield f"{field}[{index}]", command


def _run_options(config: dict[str, Any]) -> list[str]:
    return [str(option) for option in config["docker"].get("run_options", [])]
