"""``bistil-ray configs`` lists, shows and checks configurations."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from bistil_ray.config_sources import shipped_configs

Bistil = Callable[..., tuple[int, str, str]]

MINE = "langs: [swa]\nteachers: [big]\ncorpora: texts\ntask_data: labels\n"


def test_every_shipped_configuration_is_listed_with_what_it_is_for(bistil: Bistil) -> None:
    code, out, _ = bistil("configs", "ls", "--json")
    assert code == 0
    listed = json.loads(out)
    assert [entry["name"] for entry in listed] == sorted(shipped_configs())
    assert all(entry["about"].endswith(".") for entry in listed), "a whole sentence"
    _, table, _ = bistil("configs", "ls")
    assert all(entry["name"] in table for entry in listed)


def test_a_shipped_configuration_is_shown_as_it_is_written(bistil: Bistil) -> None:
    for name, text in shipped_configs().items():
        assert bistil("configs", "show", name) == (0, text, "")


def test_a_valid_file_is_printed_with_its_defaults_and_settings(bistil: Bistil, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(MINE)
    code, out, _ = bistil("configs", "validate", str(file), "--set", "distil.steps=7", "--set", "densities=0.5")
    assert code == 0
    resolved = yaml.safe_load(out)
    assert resolved["langs"] == ["sw"]
    assert resolved["distil"]["steps"] == 7
    assert resolved["densities"] == [0.5]
    assert resolved["source"] == "en"


@pytest.mark.parametrize("name", sorted(shipped_configs()))
def test_shipped_configurations_are_valid_and_what_flags_must_add_is_said(bistil: Bistil, name: str) -> None:
    code, out, err = bistil("configs", "validate", name)
    assert code == 0
    assert err.startswith("Valid; a sweep still has to be given --langs")
    for key in ("langs", "teachers", "corpora", "task_data"):
        assert (key in yaml.safe_load(out)) != (f"--{key.replace('_', '-')}" in err)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("lnags: [sw]", "did you mean 'langs'"),
        ("densities: [2]", "densities"),
        ("langs: [xx]", "'xx'"),
        ("a: [", "YAML"),
    ],
)
def test_a_file_with_a_mistake_is_refused_in_one_line(bistil: Bistil, tmp_path: Path, line: str, says: str) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(f"{MINE}{line}\n" if line.split(":")[0] not in MINE else MINE.replace("langs: [swa]", line))
    code, out, err = bistil("configs", "validate", str(file))
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert says in err
