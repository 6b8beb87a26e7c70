"""Which teacher each language has, and whether one student can be made of them: found out before anything is spent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from .errors import ConfigError
from .facts import TeacherFacts
from .languages import parse_language
from .models.loading import load_tokenizer
from .vocab.union import unite


def parse_assignment(text: str) -> dict[str, str]:
    """Read ``en=A,sw=B``: the place of each language's teacher."""
    places: dict[str, str] = {}
    for entry in filter(None, (part.strip() for part in text.split(","))):
        code, equals, place = (part.strip() for part in entry.partition("="))
        if not (code and equals and place):
            raise ConfigError(f"--teachers has {entry!r}: give each language its teacher, such as --teachers en=A,sw=B")
        lang = parse_language(code, "--teachers")
        if lang in places:
            raise ConfigError(f"--teachers gives {lang!r} two teachers: {places[lang]} and {place}")
        places[lang] = place
    if not places:
        raise ConfigError(
            f"--teachers is {text!r}: name at least one language and its teacher, such as --teachers en=A,sw=B"
        )
    return places


def language_of(body: str, places: Mapping[str, str], names: Mapping[str, str]) -> str:
    """Give a language that has the teacher at the place, or of the name, ``body``; ``names`` are those of places."""
    for lang, place in places.items():
        if body in (place, names[place]):
            return lang
    raise ConfigError(f"--body {body!r} is none of --teachers: allowed are {', '.join(dict.fromkeys(places.values()))}")


def check_predictions(teachers: Iterable[TeacherFacts], top_k: int) -> None:
    """Refuse vocabularies that cannot be united, and more predictions than a teacher has tokens."""
    tokenizers = {teacher.name: load_tokenizer(teacher.tokenizer.uri) for teacher in teachers}
    unite(list(tokenizers.values()))
    for name, tokenizer in tokenizers.items():
        if top_k >= len(tokenizer):
            raise ConfigError(f"merge.top_k is {top_k}, but {name} has {len(tokenizer)} tokens: give fewer (--top-k)")
