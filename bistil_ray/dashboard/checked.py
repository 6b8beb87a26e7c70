"""What the files of a run must hold to be shown: a run may come from anywhere, and its files hold anything."""

from __future__ import annotations

from typing import Annotated, Any, Required, TypeVar

from pydantic import AllowInfNan, ConfigDict, Field, TypeAdapter, ValidationError
from typing_extensions import TypedDict  # pydantic reads no other before Python 3.12

from ..errors import StorageError

Count = Annotated[int, Field(ge=0, lt=2**63)]
Figure = Annotated[float, AllowInfNan(False)]
# The name of a folder, and no way out of the one it is in.
Key = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$")]


class Planned(TypedDict, total=False):
    """A step in ``plan.json``."""

    __pydantic_config__ = ConfigDict(extra="allow")  # type: ignore[misc]
    key: Required[Key]
    kind: Required[str]
    about: dict[str, str | int | Figure | list[str] | None] | None
    needs: dict[str, Key] | None
    settings: dict[str, Any] | None
    inputs: dict[str, Any] | None
    tokens: Count | None
    flops: Figure | None


class Plan(TypedDict, total=False):
    """``plan.json``."""

    steps: list[Planned]


class Told(TypedDict, total=False):
    """A step in ``status.json``."""

    state: str
    reason: str


class Result(TypedDict, total=False):
    """``result.json`` of a step."""

    __pydantic_config__ = ConfigDict(extra="allow")  # type: ignore[misc]
    started: Figure
    finished: Figure
    tokens: Count | None
    bits_per_character: dict[str, Figure | None] | Figure | None


class Settings(TypedDict, total=False):
    """What the page reads of ``config.yaml``; the rest it shows as it is."""

    __pydantic_config__ = ConfigDict(extra="allow")  # type: ignore[misc]
    langs: list[str]
    source: str
    teachers: list[str]
    task: str


A_PLAN, A_STATUS, A_RESULT, A_CONFIG = (TypeAdapter[Any](kind) for kind in (Plan, dict[Key, Told], Result, Settings))
Value = TypeVar("Value")


def checked(kind: TypeAdapter[Value], value: object, place: str) -> Value:
    """Give ``value`` as what it should be; StorageError, in one line, where the file at ``place`` holds another."""
    try:
        return kind.validate_python(value)
    except ValidationError as problem:
        first = problem.errors()[0]
        field = ".".join(str(part)[:40] for part in first["loc"][:4]) or "all of it"
        raise StorageError(f"{place} is not what a sweep writes: {field}: {first['msg']}") from problem
