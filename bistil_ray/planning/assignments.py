"""Assignments of teachers to languages: which of them a sweep tries."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Mapping, Sequence

from ..errors import ConfigError
from ..settings import Merging

Assignment = dict[str, str]
"""The name of each language's teacher."""


def choose_assignments(config: Merging, names: Mapping[str, str], languages: Sequence[str]) -> list[Assignment]:
    """Give the assignments that are asked for, or all, of which too many are sampled.

    ``names`` are the teachers' by what they may be called: their places and the names themselves. ConfigError where an
    assignment does not give each of ``languages`` one of these teachers.
    """
    body = None if config.body is None else _name(config.body, names, "merge.body")
    if not config.assignments:
        return _every(list(dict.fromkeys(names.values())), languages, config.max_assignments, body)
    chosen = []
    for given in config.assignments:
        if given.keys() != set(languages):
            raise ConfigError(
                f"merge.assignments has one for {','.join(given)}: each needs a teacher for {','.join(languages)}"
            )
        assignment = {lang: _name(given[lang], names, "merge.assignments") for lang in languages}
        if body not in (None, *assignment.values()):
            raise ConfigError(f"merge.assignments has {label(assignment)}, which lacks {body}: the teacher merge.body")
        chosen.append(assignment)
    return chosen


def label(assignment: Mapping[str, str]) -> str:
    """Write an assignment as ``en=A,sw=B``."""
    return ",".join(f"{lang}={name}" for lang, name in assignment.items())


def _every(names: Sequence[str], languages: Sequence[str], most: int, body: str | None) -> list[Assignment]:
    """All assignments in which ``body`` has a language; of more than ``most`` a seeded sample.

    The sample holds those with one teacher for all, and a smaller one is part of a larger one.
    """
    size = len(languages)
    number = len(names) ** size - (0 if body is None else (len(names) - 1) ** size)
    every: Iterator[tuple[str, ...]] = itertools.product(names, repeat=size)
    if number > most:
        chance = random.Random(0)
        drawn = (tuple(chance.choices(names, k=size)) for _ in itertools.count())
        every = itertools.chain(((name,) * size for name in names), drawn)
    fitting = (teachers for teachers in every if body in (None, *teachers))
    chosen: dict[tuple[str, ...], None] = {}
    while len(chosen) < min(number, max(most, len(names))):
        chosen[next(fitting)] = None
    return [dict(zip(languages, teachers, strict=True)) for teachers in chosen]


def _name(teacher: str, names: Mapping[str, str], key: str) -> str:
    if teacher not in names:
        allowed = ", ".join(dict.fromkeys(names.values()))
        raise ConfigError(f"{key} names {teacher!r}, which is none of --teachers: allowed are {allowed}")
    return names[teacher]
