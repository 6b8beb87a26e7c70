"""A configuration of any values is a valid run or one line that says what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import strategies as st
from pydantic import BaseModel

from bistil_ray.config import RunConfig, RunDraft, to_yaml
from bistil_ray.config_sources import load_config, load_draft
from bistil_ray.errors import ConfigError

Each = Callable[..., None]


def keys_of(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Every key of a configuration, sections and what is in them."""
    for name, field in model.model_fields.items():
        yield prefix + name
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from keys_of(field.annotation, f"{prefix}{name}.")


KEYS = tuple(keys_of(RunConfig))
WORDS = (
    "sw", "en", "sw,yo", "swahli", "", " ", ",", "none", "auto", "bistil", "ner", "no/such/folder", "~", "s3://", "://",
    "hf://datasets/a", "{lang}", "nan", "inf", "-1", "0", "1e999", "9" * 5000, "on", "null", "../..", "a\0b",
    "\x1b[31m",
    "\u2028", "\ud800", "😀" * 300, "steps", "x" * 5000, "[red]", "%s{0}", "2020-13-45", "0b_", "1:99", "=", "<<",
)  # fmt: skip
# Each line is nine times the one before: 400 million words.
BOMB = "name: &w0 x\n" + "".join(
    f"{key}: &w{number} [{', '.join([f'*w{number - 1}'] * 9)}]\n"
    for number, key in enumerate(
        ("langs", "seeds", "layers", "hidden", "recipes", "densities", "teachers", "task_sources", "source"), start=1
    )
)
texts = st.sampled_from(WORDS) | st.text(max_size=12)
plain = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([0, 1, -1, 2**63, 10**400])
    | st.floats()
    | texts
    | st.binary(max_size=4)
    | st.dates()
)
values = st.recursive(
    plain,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts | st.integers() | st.none(), inner, max_size=3),
    max_leaves=6,
)


def nested(pairs: list[tuple[str, Any]]) -> dict[Any, Any]:
    """Put values under dotted keys."""
    config: dict[Any, Any] = {}
    for key, value in pairs:
        *path, last = key.split(".")
        place = config
        for part in path:
            if not isinstance(place.get(part), dict):
                place[part] = {}
            place = place[part]
        place[last] = value
    return config


configs = st.lists(st.tuples(st.sampled_from(KEYS) | texts, values), max_size=5).map(nested) | values


@pytest.fixture
def judged(tmp_path: Path) -> Callable[[str], RunDraft | None]:
    """A function giving the draft that a text is, or None where it is refused as it should be."""

    def judge(text: str) -> RunDraft | None:
        file = tmp_path / "any.yaml"
        file.write_bytes(text.encode("utf-8", "surrogatepass"))
        try:
            return load_draft(str(file))
        except ConfigError as refusal:
            assert "\n" not in str(refusal).strip()
            assert len(str(refusal)) <= 2000
            return None

    return judge


def test_any_values(each: Each, judged: Callable[[str], RunDraft | None]) -> None:
    def read(config: Any) -> None:
        draft = judged(yaml.safe_dump(config, allow_unicode=True))
        if draft is not None:
            assert judged(to_yaml(draft)) == draft

    each(configs, read, cases=1200)


def test_any_text(each: Each, judged: Callable[[str], RunDraft | None]) -> None:
    pieces = st.sampled_from(
        ["langs", "distil", ":", " ", "\n", "\n  ", "- ", "[", "]", "{", "}", "&a ", "*a", "!!", "#"]
    )
    each(st.lists(pieces | texts, max_size=20).map("".join), lambda text: judged(text) and None, cases=500)


def test_any_override(each: Each) -> None:
    def read(words: tuple[str, str]) -> None:
        try:
            draft = load_draft(None, ["=".join(words)])
        except ConfigError as refusal:
            assert len(str(refusal)) <= 2000
        else:
            to_yaml(draft)

    each(st.tuples(st.sampled_from(KEYS) | texts, texts | values.map(str)), read, cases=600)


def test_any_flag(each: Each) -> None:
    flags = st.dictionaries(
        st.sampled_from(["langs", "teachers", "density", "layers", "seeds", "storage", "name"]), texts
    )

    def read(given: dict[str, str]) -> None:
        try:
            load_config(None, (), given)
        except ConfigError as refusal:
            assert len(str(refusal)) <= 2000

    each(flags, read, cases=300)


@pytest.mark.parametrize(
    "text",
    [
        BOMB,
        "a: &a [*a]\nname: *a",
        "name: &a [*a]",
        "distil: &a {distil: *a}",
        "[" * 3000,
        "name: " + "{a: " * 3000,
    ],
    ids=["a bomb", "a knot", "itself", "a section in itself", "deep", "deep and open"],
)  # fmt: skip
def test_yaml_that_grows(judged: Callable[[str], RunDraft | None], text: str) -> None:
    assert judged(text) is None
