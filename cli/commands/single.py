"""Running the few steps of a single command: beside ``--out``, so that repeating one continues it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..console import stderr

if TYPE_CHECKING:
    from bistil_ray.config import RunConfig
    from bistil_ray.planning.step import Step


def check_new(out: Path) -> None:
    """Refuse an output folder that holds something."""
    from bistil_ray.errors import StorageError

    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise StorageError(f"--out {str(out)!r} exists already: choose a new folder")


def only_language(config: RunConfig) -> str:
    """Give the one target language of a command that makes one student."""
    from bistil_ray.errors import ConfigError

    if len(config.langs) != 1:
        raise ConfigError(
            f"--lang names {len(config.langs)} languages: this command takes one, `bistil-ray sweep` many"
        )
    return config.langs[0]


def carry_out(
    steps: Sequence[Step], out: Path, product: Callable[[Path], Path], beside: Callable[[Path], Path] | None = None
) -> dict[str, dict[str, Any]]:
    """Run ``steps`` in a work folder beside ``out``, copy the folder that ``product`` names to ``out``, clean up.

    ``beside`` names a folder that is put into ``out`` under its own name.
    """
    from bistil_ray.steps.local import run_here
    from bistil_ray.storage import prepare_folder, replacing

    check_new(out)
    console = stderr()
    work = prepare_folder(str(out.parent / f".{out.name}.work"), "--out")
    with console.status("starting") as status:

        def show(step: Step, metrics: dict[str, Any]) -> None:
            words = ", ".join(
                f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value:,}"
                for name, value in metrics.items()
                if name in {"step", "tokens", "loss", "bits_per_character", "score", "tokens_per_second"}
            )
            line = f"{step.title}: {words}"
            if console.is_terminal:
                status.update(line)
            else:
                console.print(line, highlight=False)

        results = run_here(steps, work, show)
    with replacing(out) as folder:
        shutil.copytree(product(work), folder)
        if beside is not None:
            shutil.copytree(beside(work), folder / beside(work).name)
    shutil.rmtree(work)
    console.print(f"Written to {out}", highlight=False)
    return results
