"""The wheel holds all of the project under one name, and nothing else."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from bistil_ray import __version__

ROOT = Path(__file__).resolve().parents[2]
PLACES = {
    "bistil_ray": "bistil_ray",
    "cli": "bistil_ray/cli",
    "cluster": "bistil_ray/cluster",
    "configs": "bistil_ray/configs",
}


def in_wheel(suffix: str) -> set[str]:
    """Names in the wheel of the tree's files that end in ``suffix``."""
    return {
        f"{place}/{path.relative_to(ROOT / folder).as_posix()}"
        for folder, place in PLACES.items()
        for path in (ROOT / folder).rglob(f"*{suffix}")
    }


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[zipfile.ZipFile]:
    """A wheel built from a copy of the tree, since a build leaves its traces in the tree it works on."""
    copy = tmp_path_factory.mktemp("tree")
    for folder in PLACES:
        shutil.copytree(ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / file, copy)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-index", "--no-build-isolation"]
    built = subprocess.run([*command, "--wheel-dir", copy / "dist", copy], capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    assert "would be ignored" not in built.stderr
    with zipfile.ZipFile(next((copy / "dist").glob("*.whl"))) as archive:
        yield archive


def test_one_name_is_all_that_an_installation_adds(wheel: zipfile.ZipFile) -> None:
    names = {name.split("/")[0] for name in wheel.namelist()}
    assert names == {"bistil_ray", f"bistil_ray-{__version__}.dist-info"}


def test_every_module_of_the_tree_is_in_it(wheel: zipfile.ZipFile) -> None:
    assert {name for name in wheel.namelist() if name.endswith(".py")} == in_wheel(".py")
    assert "bistil_ray/py.typed" in wheel.namelist()


def test_the_configurations_are_in_it_and_are_yaml(wheel: zipfile.ZipFile) -> None:
    shipped = {name for name in wheel.namelist() if name.endswith(".yaml")}
    assert shipped == in_wheel(".yaml")
    assert all(isinstance(yaml.safe_load(wheel.read(name)), dict) for name in shipped)


def test_the_sample_teachers_are_in_it(wheel: zipfile.ZipFile) -> None:
    shipped = {name for name in wheel.namelist() if name.startswith("bistil_ray/sample/teachers/")}
    teachers = ROOT / "bistil_ray" / "sample" / "teachers"
    assert shipped == {path.relative_to(ROOT).as_posix() for path in teachers.rglob("*") if path.is_file()}


def test_it_names_its_command_and_its_licence(wheel: zipfile.ZipFile) -> None:
    about = f"bistil_ray-{__version__}.dist-info"
    assert "bistil-ray = bistil_ray.cli.main:main" in wheel.read(f"{about}/entry_points.txt").decode()
    assert "License-Expression: Apache-2.0" in wheel.read(f"{about}/METADATA").decode()
    assert b"Apache License" in wheel.read(f"{about}/licenses/LICENSE")
