"""Language codes: one spelling per language, and mistakes answered with what was meant."""

from __future__ import annotations

import pytest

from bistil_ray.errors import ConfigError
from bistil_ray.languages import NAMES, language_name, language_script, parse_language, parse_languages


@pytest.mark.parametrize(
    ("code", "parsed"),
    [
        *[("sw", "sw"), ("swa", "sw"), ("swh", "sw"), ("SW", "sw"), (" sw ", "sw")],
        *[("yor", "yo"), ("hau", "ha"), ("ibo", "ig"), ("cmn", "zh"), ("arb", "ar"), ("pes", "fa"), ("kmr", "ku")],
        *[("twi", "tw"), ("nb", "nb"), ("yue", "yue"), ("arz", "arz"), ("pnb", "pnb"), ("pcm", "pcm")],
        *[("pt_BR", "pt-BR"), ("zh-Hant", "zh-Hant"), ("swh-TZ", "sw-TZ"), ("iw", "he")],
    ],
)
def test_every_spelling_of_a_language_becomes_one(code: str, parsed: str) -> None:
    assert parse_language(code) == parsed


@pytest.mark.parametrize("code", sorted(NAMES))
def test_each_code_of_the_table_is_the_spelling_that_parsing_gives(code: str) -> None:
    assert parse_language(code) == code
    assert language_script(code) is not None


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("Swahli", "did you mean sw (Swahili)?"),
        ("swahili", "did you mean sw (Swahili)?"),
        ("Yorubá", "yo (Yoruba)"),
        ("Hause", "ha (Hausa)"),
        ("yb", "yo (Yoruba)"),
        ("xx", "xh (Xhosa)"),
    ],
)
def test_an_unknown_code_is_answered_with_near_ones(word: str, meant: str) -> None:
    with pytest.raises(ConfigError, match="unknown language") as refused:
        parse_language(word)
    assert repr(word) in str(refused.value)
    assert "--langs" in str(refused.value)
    assert meant in str(refused.value)


@pytest.mark.parametrize("code", ["", "und", "mul", "zxx", "mis", "qaa", "x-mine", "123", "sw;yo", "sw yo", "../sw"])
def test_what_names_no_language_is_refused(code: str) -> None:
    with pytest.raises(ConfigError, match="unknown language"):
        parse_language(code)


def test_the_error_names_the_flag_that_was_used() -> None:
    with pytest.raises(ConfigError, match="--source"):
        parse_language("xx", "--source")


def test_a_list_keeps_its_order_and_holds_each_language_once() -> None:
    assert parse_languages(" yo, swa,ha,sw,,swh ") == ["yo", "sw", "ha"]


@pytest.mark.parametrize("codes", ["", " , ", ","])
def test_an_empty_list_is_refused(codes: str) -> None:
    with pytest.raises(ConfigError, match="--langs sw,yo,ha"):
        parse_languages(codes)


def test_names_and_scripts() -> None:
    assert language_name("swh") == "Swahili"
    assert language_name("pt-BR") == "Portuguese"
    assert language_name("zza") == "zza"
    assert language_script("am") == "Ethi"
    assert language_script("sr-Latn") == "Latn"
