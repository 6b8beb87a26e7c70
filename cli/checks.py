"""The single checks of ``bistil-ray doctor``; none of them changes anything or raises."""

from __future__ import annotations

import os
import platform
import shutil
import socket
import urllib.request
from collections.abc import Iterator
from importlib import import_module, metadata
from typing import NamedTuple

from bistil_ray.credentials import masked
from bistil_ray.errors import StorageError
from bistil_ray.run_storage import open_storage
from bistil_ray.storage import local_path

LIBRARIES = ("torch", "transformers", "tokenizers", "datasets", "pyarrow", "ray")
HUB_TIMEOUT_SECONDS = 3.0
CLUSTER_TIMEOUT_SECONDS = 1.0
LEAST_MEMORY_GB = 4.0
LEAST_DISK_GB = 5.0
WITHOUT_HUB = "Teachers must be folders, or in the cache"


class Finding(NamedTuple):
    """One line of the report; ``state`` is ``ok``, ``note`` (works, with a limit) or ``problem``."""

    check: str
    state: str
    found: str


def examine(storage: str) -> list[Finding]:
    """Carry out every check; ``storage`` is the folder or bucket that runs will be written to."""
    place = _bucket if "://" in storage and not storage.startswith("file://") else _disk
    return [*_versions(), _ray(), *_ray_cluster(), *_devices(), _memory(), place(storage), _hub()]


def _versions() -> Iterator[Finding]:
    yield Finding("python", "ok", f"{platform.python_version()} on {platform.system()} {platform.machine()}")
    for name in ("bistil-ray", *LIBRARIES):
        try:
            yield Finding(name, "ok", metadata.version(name))
        except metadata.PackageNotFoundError:
            yield Finding(name, "problem", f"not installed: pip install {name}")


def _ray() -> Finding:
    try:
        for room in ("data", "train", "tune"):
            import_module(f"ray.{room}")
    except ImportError as problem:
        return Finding("ray parts", "problem", f"cannot be imported: {problem} (ray[default,data,train,tune])")
    return Finding("ray parts", "ok", "tune, train and data can be imported")


def _ray_cluster() -> Iterator[Finding]:
    try:
        from bistil_ray.distributed.joining import last_started_cluster
    except ImportError:
        return  # told by another check
    if (found := last_started_cluster()) is None:
        return
    address, trace = found
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=CLUSTER_TIMEOUT_SECONDS).close()
    except (OSError, ValueError):
        cost = "With Ray Train (--workers above 1) every step waits 12 seconds for it; `ray stop` forgets it"
        yield Finding("ray cluster", "note", f"nothing answers at {address}, which {trace} names. {cost}")
    else:
        yield Finding("ray cluster", "ok", f"one answers at {address}: a sweep joins it with --address {address}")


def _devices() -> Iterator[Finding]:
    try:
        import torch

        from bistil_ray.train.optim import bf16_is_native
    except ImportError as problem:
        yield Finding("devices", "problem", f"torch cannot be imported: {problem}")
        return
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    yield Finding("cpu", "ok", f"{cores} cores")
    yield _bf16("cpu", bf16_is_native("cpu"))
    if not torch.cuda.is_available():
        yield Finding("gpu", "note", "none that torch can use: training runs on the CPU")
        return
    names = [torch.cuda.get_device_properties(index) for index in range(torch.cuda.device_count())]
    yield Finding("gpu", "ok", ", ".join(f"{gpu.name} ({gpu.total_memory / 1e9:.0f} GB)" for gpu in names))
    yield _bf16("gpu", bf16_is_native("cuda"))


def _bf16(device: str, native: bool) -> Finding:
    found = "native: used by default" if native else "not native: training uses fp32"
    return Finding(f"{device} bf16", "ok" if native else "note", found)


def _memory() -> Finding:
    import psutil

    memory = psutil.virtual_memory()
    free = memory.available / 1e9
    found = f"{free:.1f} GB free of {memory.total / 1e9:.1f} GB"
    if free < LEAST_MEMORY_GB:
        return Finding("memory", "note", f"{found}: a sweep wants {LEAST_MEMORY_GB:g} GB or more")
    return Finding("memory", "ok", found)


def _bucket(storage: str) -> Finding:
    try:
        folder = open_storage(storage).folder
    except StorageError as problem:
        return Finding("storage", "problem", str(problem))
    return Finding("storage", "ok", f"{storage} can be written; this machine works on it in {folder}")


def _disk(storage: str) -> Finding:
    folder = local_path(storage.removeprefix("file://")).absolute()
    there = next(place for place in (folder, *folder.parents) if place.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        return Finding("storage", "problem", f"{folder} cannot be written; choose another folder with --storage")
    free = shutil.disk_usage(there).free / 1e9
    found = f"{folder}: {free:.0f} GB free"
    if free < LEAST_DISK_GB:
        return Finding("storage", "note", f"{found}; real teachers want {LEAST_DISK_GB:g} GB or more")
    return Finding("storage", "ok", found)


def _hub() -> Finding:
    for variable in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        if os.environ.get(variable, "").upper() in {"1", "ON", "YES", "TRUE"}:
            return Finding("model hub", "note", f"not asked: {variable} is set. {WITHOUT_HUB}")
    address = os.environ.get("HF_ENDPOINT", "https://huggingface.co")
    shown = masked(address)
    try:
        request = urllib.request.Request(address, method="HEAD")
        with urllib.request.urlopen(request, timeout=HUB_TIMEOUT_SECONDS):
            return Finding("model hub", "ok", f"{shown} answers")
    except (OSError, ValueError) as problem:
        reason = getattr(problem, "reason", problem)
        return Finding("model hub", "note", f"{shown} cannot be reached ({masked(str(reason))}). {WITHOUT_HUB}")
