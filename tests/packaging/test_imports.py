"""Dependencies go one way: cli, then distributed, then steps, then the rest; and light things stay light."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HEAVY = ("torch", "ray", "transformers", "tokenizers", "datasets", "pyarrow", "pandas")


def modules() -> Iterator[tuple[str, Path]]:
    """Dotted name and file of every module, with ``cli/`` under its installed name."""
    for folder, package in (("bistil_ray", "bistil_ray"), ("cli", "bistil_ray.cli")):
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = path.relative_to(ROOT / folder).with_suffix("").parts
            yield ".".join([package, *parts]), path


def imported(name: str, path: Path) -> set[str]:
    """Absolute names of all that a module imports, at its top or inside its functions, but not for types alone."""
    found = set()
    for node in _carried_out(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = name.split(".")[: -node.level] if node.level else []
            source = ".".join([*base, *([node.module] if node.module else [])])
            found |= {source} | {f"{source}.{alias.name}" for alias in node.names}
    return found


def _carried_out(tree: ast.AST) -> Iterator[ast.AST]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        yield node
        yield from _carried_out(node)


def within(imports: set[str], package: str) -> set[str]:
    """Those of ``imports`` that are ``package`` or lie in it."""
    return {name for name in imports if name == package or name.startswith(f"{package}.")}


RULES = {
    "ray": ("bistil_ray.distributed",),
    "bistil_ray.cli": ("bistil_ray.cli",),
    "bistil_ray.distributed": ("bistil_ray.distributed", "bistil_ray.cli"),
    "bistil_ray.steps": ("bistil_ray.steps", "bistil_ray.distributed", "bistil_ray.cli"),
}


@pytest.mark.parametrize("package", RULES)
def test_only_the_rooms_above_import(package: str) -> None:
    allowed = RULES[package]
    wrong = {
        name: sorted(there)
        for name, path in modules()
        if not any(name == room or name.startswith(f"{room}.") for room in allowed)
        and (there := within(imported(name, path), package))
    }
    assert wrong == {}


def test_the_command_line_knows_its_siblings_by_relative_names() -> None:
    for name, path in modules():
        if name.startswith("bistil_ray.cli."):
            absolute = {
                node.module
                for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
                if isinstance(node, ast.ImportFrom) and not node.level and node.module
            }
            assert not within(absolute, "bistil_ray.cli"), path


@pytest.mark.parametrize(
    "statement",
    [
        "import bistil_ray",
        "import bistil_ray.config_sources, bistil_ray.facts, bistil_ray.planning.plan",
        "import bistil_ray.languages, bistil_ray.errors, bistil_ray.storage",
        "import bistil_ray.results.records, bistil_ray.results.tables",
        "import bistil_ray.cli.main",
        "from bistil_ray.cli.main import main; main(['--help'])",
        "from bistil_ray.cli.main import main; main(['sweep', '--help'])",
        "from bistil_ray.cli.main import main; main(['configs', 'ls'])",
    ],
)
def test_light_things_import_nothing_heavy(statement: str, tmp_path: Path) -> None:
    script = f"{statement}\nimport sys\nprint([name for name in {HEAVY} if name in sys.modules], file=sys.stderr)"
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path)
    assert (ended.returncode, ended.stderr) == (0, "[]\n")


@pytest.mark.parametrize(
    "command", [[Path(sys.executable).with_name("bistil-ray")], [sys.executable, "-m", "bistil_ray.cli"]]
)
def test_both_ways_to_start_work_from_any_folder(command: list[str], tmp_path: Path) -> None:
    ended = subprocess.run([*command, "--version"], capture_output=True, text=True, cwd=tmp_path)
    assert ended.stdout.startswith("bistil-ray ")
