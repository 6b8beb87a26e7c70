"""Shipped launcher files and their placeholders: ``<name>`` must be given, ``<name=value>`` has a default.

The first ``<name=...>`` of a file says the default of all ``<name>`` in it. A line that ends in ``# with a mount`` is
left out where the storage is a URI, which nothing has to be mounted for.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from importlib import metadata, resources

from ..errors import ConfigError

PLACEHOLDER = re.compile(r"<([a-z][a-z-]*)(?:=([^<>\n]*))?>")
PLAIN = re.compile(r"[A-Za-z0-9._:/@~,+=%?&-]*")
"""Values that mean themselves in YAML and in a shell."""
_URI = re.compile(r"(s3|gs)://.+")
WITH_A_MOUNT = "# with a mount"
MOUNTED = "/mnt/bistil/runs"
"""Where the shipped files put what runs leave behind, in storage that they mount themselves."""

NFS = (re.compile(r"[\w.-]+:/(?!/).*"), "an NFS export, HOST:/PATH")
STORAGES = {
    "aws": NFS,
    "gcp": NFS,
    "azure": NFS,
    "kuberay": (re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?"), "the name of a PersistentVolumeClaim"),
    "local": (re.compile(r"/.+"), "a folder that every machine has mounted, from the root"),
}
"""What the storage of each file may be besides a URI."""


def shipped_launchers() -> dict[str, str]:
    """Give the text of each launcher file that comes with the package, by name."""
    folder = resources.files("bistil_ray.cluster")
    return {
        entry.name.removesuffix(".yaml"): entry.read_text(encoding="utf-8")
        for entry in sorted(folder.iterdir(), key=lambda entry: entry.name)
        if entry.name.endswith(".yaml")
    }


def placeholders(text: str) -> dict[str, str | None]:
    """Give what a user can set in a launcher file, with its default, or None where it must be given."""
    found: dict[str, str | None] = {}
    for name, default in ((match[1], match[2]) for match in PLACEHOLDER.finditer(text)):
        found[name] = found.get(name) if default is None else default
    return {name: default for name, default in found.items() if name not in {*versions(), "package", "storage-folder"}}


def versions() -> dict[str, str]:
    """Give what is pinned on the nodes, by placeholder: the versions that are installed here."""
    major, minor = sys.version_info[:2]
    libraries = {name: metadata.version(name).partition("+")[0] for name in ("ray", "torch", "transformers")}
    return {**libraries, "python": f"py{major}{minor}", "python-name": f"python{major}.{minor}"}


def is_uri(storage: str) -> bool:
    """Tell whether ``storage`` is one that all nodes share without a mount."""
    return bool(_URI.fullmatch(storage))


def package(version: str, wheel: str | None = None) -> str:
    """Give what pip installs on the nodes: a release, or the wheel of that release at a URL."""
    if wheel is None:
        return f"bistil-ray=={version}"
    if f"bistil_ray-{version}-" not in wheel:
        raise ConfigError(f"--wheel is {wheel!r}: must be a wheel of version {version}, or --version says another")
    return f"bistil-ray @ {wheel}"


def render(name: str, given: Mapping[str, str], to_install: str) -> str:
    """Fill in the shipped file ``name``; ``given`` are values by placeholder.

    Raises ConfigError for an unknown file or placeholder, a missing value, and one that cannot be used.
    """
    shipped = shipped_launchers()
    if name not in shipped:
        raise ConfigError(f"no launcher file {name!r}: the shipped ones are {', '.join(shipped)}")
    known = placeholders(shipped[name])
    for key, value in given.items():
        if key not in known:
            raise ConfigError(f"{name}.yaml has no {key!r} to set: it has {', '.join(known)}")
        if not PLAIN.fullmatch(value):
            raise ConfigError(f"{_flag(key)} is {value!r}: must be letters, digits and ._:/@~,+=%?&-")
    values = {**known, **given}
    missing = [key for key, value in values.items() if value is None]
    if missing:
        raise ConfigError(f"{name}.yaml needs {', '.join(map(_flag, missing))}")
    storage = str(values["storage"])
    shape, allowed = STORAGES[name]
    in_cloud = is_uri(storage)
    if not in_cloud and not shape.fullmatch(storage):
        raise ConfigError(f"--storage is {storage!r}: must be {allowed}, s3://BUCKET/... or gs://BUCKET/...")
    values |= {**versions(), "package": to_install, "storage-folder": storage if in_cloud else MOUNTED}
    lines = shipped[name].splitlines(keepends=True)
    text = "".join(line for line in lines if not (in_cloud and line.rstrip().endswith(WITH_A_MOUNT)))
    return PLACEHOLDER.sub(lambda match: str(values[match[1]]), text)


def _flag(key: str) -> str:
    named = ("region", "instance", "image", "max-workers", "storage")
    return f"--{key}" if key in named else f"--set {key}=..."
