"""A template filled from a scene: tokens with IOB2 tags, in one language or in two."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from functools import cache
from random import Random

from .lexicon import Lexicon
from .scene import KIND_OF_SLOT, Company, Key, NamePool, Scene

Tagged = list[tuple[str, str]]
Parts = tuple[str, ...]

NAME_KINDS = frozenset({"PER", "LOC", "ORG", "CLUB"})
NUMBERS = frozenset({"NUM", "AGE", "DATE", "YEAR"})
TITLE_SHARE = 0.2
QUIET_SHARE = 0.2
OPENER_SHARE = 0.25
_TOKEN = re.compile(r"\{[A-Z]+\}|[^\s,.?!{}]+|[,.?!]")
_CLOSING = frozenset(",.?!")


def split_template(template: str) -> Parts:
    """Slots, words and punctuation marks of a template, in order."""
    return tuple(_TOKEN.findall(template))


def detokenise(tokens: Sequence[str]) -> str:
    """Running text: one space between tokens, none before a closing mark."""
    return "".join(token if i == 0 or token in _CLOSING else f" {token}" for i, token in enumerate(tokens))


@cache
def slot_keys(parts: Parts) -> tuple[Key | None, ...]:
    """The key of every part that is a slot, ``None`` for the rest."""
    seen: Counter[str] = Counter()
    keys: list[Key | None] = []
    for part in parts:
        if not part.startswith("{"):
            keys.append(None)
            continue
        kind = KIND_OF_SLOT.get(part[1:-1], part[1:-1])
        keys.append((kind, seen[kind]))
        seen[kind] += 1
    return tuple(keys)


def narrowing(*versions: Parts) -> dict[Key, str]:
    """Which keys some version of a sentence narrows, to a man or a city for instance."""
    return {
        key: part[1:-1]
        for parts in versions
        for part, key in zip(parts, slot_keys(parts), strict=True)
        if key is not None and part[1:-1] in KIND_OF_SLOT
    }


class SentenceMaker:
    """Fills the templates of one language from one pool of names, drawing everything from one generator."""

    def __init__(self, lexicon: Lexicon, pool: NamePool, random: Random) -> None:
        """Split the templates once; ``random`` is drawn from in call order."""
        self._lexicon = lexicon
        self._pool = pool
        self._random = random
        self._templates = [split_template(template) for template in lexicon.templates]
        self._naming = [parts for parts in self._templates if _names_something(parts)]
        self._quiet = [parts for parts in self._templates if not _names_something(parts)]
        self._openers = [split_template(opener) for opener in lexicon.openers]
        self._institutions = [split_template(name) for name in lexicon.organisations]

    def sentence(self) -> Tagged:
        """One sentence as (token, tag) pairs; a share of them comes from templates without entities."""
        draw = self._random
        parts = draw.choice(self._quiet if draw.random() < QUIET_SHARE else self._naming)
        if parts[-1] == "." and draw.random() < OPENER_SHARE:
            first = parts[0] if parts[0].startswith("{") else parts[0][0].lower() + parts[0][1:]
            parts = (*draw.choice(self._openers), first, *parts[1:])
        return self._tell(parts, Scene(self._pool, draw, narrowing(parts)), TITLE_SHARE)

    def with_translation(self, other: SentenceMaker) -> tuple[Tagged, Tagged]:
        """The same sentence in this language and in the other one's; templates are parallel by their place."""
        draw = self._random
        while True:
            number = draw.randrange(len(self._templates))
            mine, theirs = self._templates[number], other._templates[number]
            if set(slot_keys(mine)) == set(slot_keys(theirs)):
                break
        scene = Scene(self._pool, draw, narrowing(mine, theirs))
        return self._tell(mine, scene, 0.0), other._tell(theirs, scene, 0.0)

    def _tell(self, parts: Parts, scene: Scene, title_share: float) -> Tagged:
        tagged: Tagged = []
        for part, key in zip(parts, slot_keys(parts), strict=True):
            if key is None:
                tagged.append((part, "O"))
            elif key[0] in NAME_KINDS:
                tagged += self._name(key, scene, title_share)
            elif key[0] in NUMBERS:
                tagged.append((scene.number(key), "O"))
            else:
                words = self._lexicon.words[key[0]]
                tagged += [(word, "O") for word in words[scene.word(key, len(words))].split()]
        word, tag = tagged[0]
        return [(word[0].upper() + word[1:], tag), *tagged[1:]]

    def _name(self, key: Key, scene: Scene, title_share: float) -> Tagged:
        match key[0]:
            case "PER":
                person = scene.person(key)
                title: Tagged = []
                if self._random.random() < title_share:
                    titles = self._lexicon.titles
                    title = [(self._random.choice(titles["any"] + titles["man" if person.man else "woman"]), "O")]
                return title + _span([self._spelled(part) for part in person.parts], "PER")
            case "LOC":
                return _span(self._spelled(scene.place(key)).split(), "LOC")
            case "CLUB":
                city, rest = scene.club(key)
                return _span([*self._spelled(city).split(), rest], "ORG")
            case _:
                return _span(self._organisation(key, scene), "ORG")

    def _organisation(self, key: Key, scene: Scene) -> Sequence[str]:
        organisation = scene.organisation(key, len(self._institutions))
        if isinstance(organisation, Company):
            return organisation.words
        words: list[str] = []
        for part in self._institutions[organisation.number]:
            words += self._spelled(organisation.parts[part[1:-1]]).split() if part.startswith("{") else [part]
        return words

    def _spelled(self, name: str) -> str:
        local = self._lexicon.spellings.get(name)
        return local if local is not None and self._random.random() < 0.5 else name


def _names_something(parts: Parts) -> bool:
    return any(key is not None and key[0] in NAME_KINDS for key in slot_keys(parts))


def _span(words: Sequence[str], kind: str) -> Tagged:
    return [(word, ("I-" if i else "B-") + kind) for i, word in enumerate(words)]
