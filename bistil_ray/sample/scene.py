"""What a sentence speaks of, before any language puts it into words."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import TypeVar, cast

from . import names

T = TypeVar("T")

Key = tuple[str, int]
"""The kind of a slot and how many of the same kind stand before it in the sentence."""

KIND_OF_SLOT: Mapping[str, str] = {"MAN": "PER", "WOMAN": "PER", "CITY": "LOC", "LAND": "LOC"}
"""Slots that narrow another kind; every other slot is its own kind."""


@dataclass(frozen=True)
class NamePool:
    """The names a set of sentences may use."""

    men: tuple[str, ...]
    women: tuple[str, ...]
    families: tuple[str, ...]
    cities: tuple[str, ...]
    lands: tuple[str, ...]
    company_names: tuple[str, ...]
    company_kinds: tuple[str, ...]
    one_word_companies: tuple[str, ...]
    club_kinds: tuple[str, ...]
    institution_share: float
    """Share of organisations that each language names in its own words."""


@dataclass(frozen=True)
class Person:
    """A person: one or two name parts, and whether it is a man, for titles."""

    man: bool
    parts: tuple[str, ...]


@dataclass(frozen=True)
class Company:
    """An organisation that bears the same name in every language."""

    words: tuple[str, ...]


@dataclass(frozen=True)
class Institution:
    """An organisation that each language names in its own words; names by the slot they fill."""

    number: int
    parts: Mapping[str, str]


def name_pool(institution_share: float, keep: Callable[[str], bool] = lambda name: True) -> NamePool:
    """The shared names for which ``keep`` holds, list by list."""

    def chosen(all_names: Sequence[str]) -> tuple[str, ...]:
        return tuple(name for name in all_names if keep(name))

    return NamePool(
        men=chosen(names.MEN),
        women=chosen(names.WOMEN),
        families=chosen(names.FAMILIES),
        cities=chosen(names.CITIES),
        lands=chosen(names.LANDS),
        company_names=chosen(names.COMPANY_NAMES),
        company_kinds=chosen(names.COMPANY_KINDS),
        one_word_companies=chosen(names.ONE_WORD_COMPANIES),
        club_kinds=chosen(names.CLUB_KINDS),
        institution_share=institution_share,
    )


class Scene:
    """Draws each thing when it is first asked for and gives the same one afterwards, in whatever language."""

    def __init__(self, pool: NamePool, random: Random, narrowed: Mapping[Key, str]) -> None:
        """``narrowed`` names the keys that some language's template narrows (to ``MAN`` or ``CITY``, say)."""
        self._pool = pool
        self._random = random
        self._narrowed = narrowed
        self._drawn: dict[Key, object] = {}

    def word(self, key: Key, size: int) -> int:
        """The place of a word in its list of ``size``, another one for every key of the same kind."""
        return self._other_than_before(key, lambda: self._random.randrange(size))

    def number(self, key: Key) -> str:
        """A count, an age, a day of the month or a year."""
        return self._once(key, lambda: self._number(key[0]))

    def person(self, key: Key) -> Person:
        """A person with given and family name, or one of them."""
        return self._once(key, lambda: self._person(self._narrowed.get(key)))

    def place(self, key: Key) -> str:
        """A city or a country, in the shared spelling."""
        return self._other_than_before(key, lambda: self._place(self._narrowed.get(key)))

    def club(self, key: Key) -> tuple[str, str]:
        """A sports club: its city and the rest of its name."""
        draw, pool = self._random, self._pool
        return self._once(key, lambda: (draw.choice(pool.cities), draw.choice(pool.club_kinds)))

    def organisation(self, key: Key, institutions: int) -> Company | Institution:
        """A company, or one of so many kinds of institution."""
        return self._once(key, lambda: self._organisation(institutions))

    def _number(self, kind: str) -> str:
        draw = self._random
        match kind:
            case "AGE":
                return str(draw.randint(40, 99))
            case "DATE":
                return str(draw.randint(1, 28))
            case "YEAR":
                return str(draw.randint(1970, 2024))
            case _:
                return str(draw.randint(2, 30) if draw.random() < 0.5 else 10 * draw.randint(4, 90))

    def _person(self, narrowed: str | None) -> Person:
        draw, pool = self._random, self._pool
        man = draw.random() < 0.5 if narrowed is None else narrowed == "MAN"
        given, family = draw.choice(pool.men if man else pool.women), draw.choice(pool.families)
        form = draw.random()
        return Person(man, (given, family) if form < 0.7 else (family,) if form < 0.85 else (given,))

    def _place(self, narrowed: str | None) -> str:
        draw, pool = self._random, self._pool
        city = draw.random() < 0.65 if narrowed is None else narrowed == "CITY"
        return draw.choice(pool.cities if city else pool.lands)

    def _organisation(self, institutions: int) -> Company | Institution:
        draw, pool = self._random, self._pool
        form = draw.random()
        if form < pool.institution_share:
            parts = {"CITY": pool.cities, "LAND": pool.lands, "FAMILY": pool.families}
            return Institution(draw.randrange(institutions), {slot: draw.choice(of) for slot, of in parts.items()})
        if form < pool.institution_share + 0.2:
            return Company((draw.choice(pool.one_word_companies),))
        return Company((draw.choice(pool.company_names), draw.choice(pool.company_kinds)))

    def _once(self, key: Key, make: Callable[[], T]) -> T:
        if key not in self._drawn:
            self._drawn[key] = make()
        return cast(T, self._drawn[key])

    def _other_than_before(self, key: Key, make: Callable[[], T]) -> T:
        """As ``_once``, but no key of a kind gets what an earlier one has: no road leads from a town to itself."""
        before = [thing for (kind, _), thing in self._drawn.items() if kind == key[0]]

        def fresh() -> T:
            thing = make()
            while thing in before:
                thing = make()
            return thing

        return self._once(key, fresh)
