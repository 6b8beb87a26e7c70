"""One sentence at a time: a template filled with words and names, as tokens with IOB2 tags."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from bistil_ray.sample import names
from bistil_ray.sample.lexicon import Lexicon

ENTITY_SLOTS = frozenset({"PER", "MAN", "WOMAN", "LOC", "CITY", "LAND", "ORG", "CLUB"})
_TOKEN = re.compile(r"\{[A-Z]+\}|[^\s,.?!{}]+|[,.?!]")
_CLOSING = frozenset(",.?!")

Tagged = list[tuple[str, str]]


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


def name_pool(keep: Callable[[str], bool] = lambda name: True) -> NamePool:
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
    )


def split_template(template: str) -> tuple[str, ...]:
    """Slots, words and punctuation marks of a template, in order."""
    return tuple(_TOKEN.findall(template))


def detokenise(tokens: Sequence[str]) -> str:
    """Running text: one space between tokens, none before a closing mark."""
    return "".join(token if i == 0 or token in _CLOSING else f" {token}" for i, token in enumerate(tokens))


class SentenceMaker:
    """Fills the templates of one language from one pool of names, drawing everything from one generator."""

    def __init__(self, lexicon: Lexicon, pool: NamePool, random: Random) -> None:
        """Split the templates once; ``random`` is drawn from in call order and belongs to this maker."""
        self._lexicon = lexicon
        self._pool = pool
        self._random = random
        self._used: set[str] = set()
        split = [split_template(template) for template in lexicon.templates]
        self._naming = [parts for parts in split if any(part[1:-1] in ENTITY_SLOTS for part in parts)]
        self._quiet = [parts for parts in split if not any(part[1:-1] in ENTITY_SLOTS for part in parts)]
        self._openers = [split_template(opener) for opener in lexicon.openers]
        self._organisations = [split_template(name) for name in lexicon.organisations]

    def sentence(self, quiet_share: float = 0.2, opener_share: float = 0.25) -> Tagged:
        """One sentence as (token, tag) pairs; ``quiet_share`` of them come from templates without entities."""
        draw = self._random
        self._used.clear()
        parts = draw.choice(self._quiet if draw.random() < quiet_share else self._naming)
        tagged: Tagged = []
        if parts[-1] == "." and draw.random() < opener_share:
            tagged = self._fill(draw.choice(self._openers))
            first = parts[0] if parts[0].startswith("{") else parts[0][0].lower() + parts[0][1:]
            parts = (first, *parts[1:])
        tagged += self._fill(parts)
        word, tag = tagged[0]
        tagged[0] = (word[0].upper() + word[1:], tag)
        return tagged

    def _fill(self, parts: Sequence[str]) -> Tagged:
        tagged: Tagged = []
        for part in parts:
            if not part.startswith("{"):
                tagged.append((part, "O"))
            elif part[1:-1] in ENTITY_SLOTS:
                tagged += self._entity(part[1:-1])
            else:
                tagged += [(word, "O") for word in self._plain(part[1:-1]).split()]
        return tagged

    def _plain(self, slot: str) -> str:
        draw = self._random
        match slot:
            case "NUM":
                return str(draw.randint(2, 30) if draw.random() < 0.5 else 10 * draw.randint(4, 90))
            case "AGE":
                return str(draw.randint(40, 99))
            case "DATE":
                return str(draw.randint(1, 28))
            case "YEAR":
                return str(draw.randint(1970, 2024))
            case _:
                return self._unused(self._lexicon.words[slot])

    def _entity(self, slot: str) -> Tagged:
        match slot:
            case "PER" | "MAN" | "WOMAN":
                return self._person(slot)
            case "CLUB":
                return _span(self._club(), "ORG")
            case "ORG":
                return _span(self._organisation(), "ORG")
            case _:
                return _span(self._place(slot).split(), "LOC")

    def _person(self, slot: str) -> Tagged:
        draw = self._random
        man = slot == "MAN" or (slot == "PER" and draw.random() < 0.5)
        given = self._spelled(draw.choice(self._pool.men if man else self._pool.women))
        family = self._spelled(draw.choice(self._pool.families))
        form = draw.random()
        name = [given, family] if form < 0.7 else [family] if form < 0.85 else [given]
        title: Tagged = []
        if draw.random() < 0.2:
            titles = self._lexicon.titles
            title = [(draw.choice(titles["any"] + titles["man" if man else "woman"]), "O")]
        return title + _span(name, "PER")

    def _place(self, slot: str) -> str:
        draw = self._random
        city = slot == "CITY" or (slot == "LOC" and draw.random() < 0.65)
        return self._spelled(self._unused(self._pool.cities if city else self._pool.lands))

    def _organisation(self) -> list[str]:
        draw = self._random
        form = draw.random()
        if form < 0.25:
            return self._local_organisation()
        if form < 0.45:
            return [draw.choice(self._pool.one_word_companies)]
        return [draw.choice(self._pool.company_names), draw.choice(self._pool.company_kinds)]

    def _local_organisation(self) -> list[str]:
        name: list[str] = []
        for part in self._random.choice(self._organisations):
            if part == "{FAMILY}":
                name.append(self._spelled(self._random.choice(self._pool.families)))
            elif part.startswith("{"):
                name += self._place(part[1:-1]).split()
            else:
                name.append(part)
        return name

    def _club(self) -> list[str]:
        return [*self._place("CITY").split(), self._random.choice(self._pool.club_kinds)]

    def _unused(self, choices: Sequence[str]) -> str:
        """A choice that the sentence does not hold yet: no road leads from a town to itself."""
        choice = self._random.choice(choices)
        while choice in self._used:
            choice = self._random.choice(choices)
        self._used.add(choice)
        return choice

    def _spelled(self, name: str) -> str:
        local = self._lexicon.spellings.get(name)
        return local if local is not None and self._random.random() < 0.5 else name


def _span(words: Sequence[str], kind: str) -> Tagged:
    return [(word, ("I-" if i else "B-") + kind) for i, word in enumerate(words)]
