"""What a check of a launcher file says: a finding where all is well, an error with field, value and what is allowed."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

from .. import __version__
from ..errors import ConfigError
from .render import PLACEHOLDER, versions

IMAGE = re.compile(r".*:(?P<ray>\d+\.\d+\.\d+)-(?P<python>py\d+)\b.*")
OURS = re.compile(r"bistil[-_]ray(?:\[[\w,]*\])?(?:==|-| @ \S*bistil_ray-)(\d+\.\d+\.\d+\w*)")
RAY = re.compile(r"(?<![-_])\bray(?:\[[\w,]*\])?==(\S+?)['\"\s]")


class Finding(NamedTuple):
    """One check that a file has passed, and what was found."""

    check: str
    found: str


def refuse(field: str, value: Any, allowed: str) -> ConfigError:  # noqa: ANN401
    """Make the error of a field that cannot stay as it is."""
    return ConfigError(f"{field} is {value!r}: {allowed}")


def leaves(value: Any, field: str = "") -> Iterator[tuple[str, Any]]:  # noqa: ANN401
    """Give all plain values of a file with the way to them, such as ``docker.run_options[0]``."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, f"{field}.{key}" if field else str(key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from leaves(inner, f"{field}[{index}]")
    else:
        yield field, value


def check_filled_in(values: Any) -> Finding:  # noqa: ANN401
    """Refuse a file in which a placeholder is left."""
    for field, value in leaves(values):
        left = PLACEHOLDER.search(value) if isinstance(value, str) else None
        if left:
            raise refuse(field, value, f"{left[0]} is still to be filled in (bistil-ray cluster render)")
    return Finding("filled in", "no placeholder is left")


def check_image(field: str, image: Any) -> None:  # noqa: ANN401
    """Refuse an image of another version of Ray or Python than runs here; a name without both cannot be told."""
    here = versions()
    wanted = (
        f"must be of Ray {here['ray']} and Python {here['python']}, which run here: ...:{here['ray']}-{here['python']}"
    )
    told = IMAGE.fullmatch(str(image))
    if told is None or (told["ray"], told["python"]) != (here["ray"], here["python"]):
        raise refuse(field, image, wanted)


def check_package(field: str, commands: str) -> None:
    """Refuse commands that install no bistil-ray, or another version of it or of Ray than runs here."""
    ours, ray = OURS.search(commands), RAY.search(commands)
    if ours is None or ours[1] != __version__:
        found = "no version of bistil-ray" if ours is None else ours[0]
        raise refuse(field, found, f"must install bistil-ray=={__version__}, which runs here, on every node")
    if ray is not None and ray[1] != versions()["ray"]:
        raise refuse(field, ray[0].strip("'\" "), f"must be ray=={versions()['ray']}, which runs here")


def versions_found() -> Finding:
    """What there is to say once all versions are found to be equal."""
    python = ".".join(map(str, sys.version_info[:2]))
    return Finding("versions", f"Ray {versions()['ray']}, Python {python}, bistil-ray {__version__}, as here")
