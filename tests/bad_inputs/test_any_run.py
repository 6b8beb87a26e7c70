"""The files of a run, whatever they hold, are shown for what they are or refused in one line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from hypothesis import strategies as st

Each = Callable[..., None]
Run = Callable[..., Any]

words = st.sampled_from(
    ["", "sw", "score", "done", "</script>", "../../x", "\x1b[31m", "[red]", "\u2028", "big", "x" * 300]
)
numbers = st.integers(-2, 10) | st.floats() | st.sampled_from([10**400, 2**63])
values = st.recursive(
    st.none() | st.booleans() | numbers | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=4,
)


def values_in(file: Path) -> Any:
    """What a file holds: JSON, JSON by lines or YAML, of which JSON is a part."""
    text = file.read_text()
    return [json.loads(line) for line in text.splitlines()] if file.suffix == ".jsonl" else yaml.safe_load(text)


def leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths to everything in a value."""
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(found for key, part in parts for found in leaves(part, (*path, key)))]


@st.composite
def changed(draw: st.DrawFn, whole: Any) -> Any:
    """The value with some of what is in it replaced."""
    copy = json.loads(json.dumps(whole))
    for path in draw(st.lists(st.sampled_from(leaves(copy)), min_size=1, max_size=3)):
        if not path:
            return draw(values)
        place = copy
        try:
            for key in path[:-1]:
                place = place[key]
            place[path[-1]] = draw(values)
        except (KeyError, TypeError, IndexError):  # what was there has been replaced
            continue
    return copy


def test_any_files_of_a_run(each: Each, ends_well: Run, make_run: Callable[..., Path], tmp_path: Path) -> None:
    run = make_run(tmp_path, langs=["sw"], teachers=["big"], done=5)
    step = run.parent / "steps" / "distil-00000000000000000003"
    files = {file: values_in(file) for file in (*run.iterdir(), step / "result.json", step / "metrics.jsonl")}
    texts = {file: file.read_text() for file in files}
    damage = st.sampled_from(list(files)).flatmap(lambda file: st.tuples(st.just(file), changed(files[file])))
    bytes_of = st.tuples(st.sampled_from(list(files)), st.binary(max_size=20))

    def judge(case: tuple[Path, Any]) -> None:
        file, value = case
        if isinstance(value, bytes):
            file.write_bytes(value)
        elif file.suffix == ".jsonl":
            file.write_text(
                "".join(json.dumps(line) + "\n" for line in (value if isinstance(value, list) else [value]))
            )
        else:
            file.write_text(json.dumps(value))
        for words in (("results", str(run)), ("results", str(run), "--json"), ("dashboard", str(run))):
            ended = ends_well(*words)
            assert "\x1b" not in ended.stdout
        file.write_text(texts[file])
        (tmp_path / "report.html").unlink(missing_ok=True)

    each(damage | bytes_of, judge, cases=500)
