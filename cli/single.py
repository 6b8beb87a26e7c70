"""Running the few steps of a single command: beside ``--out``, so that repeating one continues it."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bistil_ray.terminal import visible

from .console import stderr

if TYPE_CHECKING:
    from bistil_ray.config import RunConfig
    from bistil_ray.planning.step import Step


def new_folder(out: Path) -> Path:
    """Give the whole path of an output folder; refuse one that holds something, or that the shell is in."""
    from bistil_ray.errors import StorageError
    from bistil_ray.storage import local_path, replaceable

    folder = replaceable(local_path(out).absolute())
    if folder == Path.cwd() or (folder.exists() and (not folder.is_dir() or any(folder.iterdir()))):
        raise StorageError(f"--out {str(out)!r} exists already: choose a new folder")
    return folder


def settings_of(settings: Sequence[str], flags: Mapping[str, Any], reads: Collection[str]) -> RunConfig:
    """Put together what a command goes by; say on stderr which of ``--set`` it does not read.

    ``reads`` are the sections and keys that it does read; what its flags say is no matter of ``--set``.
    """
    from bistil_ray.config_sources import load_config

    config = load_config(None, settings, flags)
    keys = [entry.partition("=")[0].strip() for entry in settings]
    if unread := [key for key in keys if key.partition(".")[0] not in reads]:
        words = f"Note: this command does not read {', '.join(unread)}; it reads {', '.join(reads)} and its flags"
        stderr().print(visible(words))
    return config


def only_language(config: RunConfig) -> str:
    """Give the one target language of a command that makes one student."""
    from bistil_ray.errors import ConfigError

    if len(config.langs) != 1:
        raise ConfigError(
            f"--lang names {len(config.langs)} languages: this command takes one, `bistil-ray sweep` many"
        )
    return config.langs[0]


def carry_out(
    steps: Sequence[Step],
    out: Path,
    product: str,
    beside: str | None = None,
    quiet: bool = False,
) -> dict[str, dict[str, Any]]:
    """Run ``steps`` in a work folder beside ``out``, copy ``product``, a folder in there, to ``out``, clean up.

    ``beside`` is another one, which is put into ``out`` under its own name. Progress goes to stderr, unless ``quiet``.
    """
    from bistil_ray.distributed.progress import Board
    from bistil_ray.steps.local import run_here
    from bistil_ray.storage import is_done, prepare_folder, replacing

    console = stderr()
    work = prepare_folder(str(out.parent / f".{out.name}.work"), "--out")
    left = [step for step in steps if not is_done(work / step.key)]
    board = Board(console, quiet)
    board.begin(steps, [step.key for step in steps if step not in left])
    results: dict[str, dict[str, Any]] = {}
    try:
        for step in steps:
            if step in left:
                board.changed(step, "running")
            results |= run_here([step], work, lambda step, metrics: board.reported(step.key, metrics))
            if step in left:
                board.changed(step, "done")
    finally:
        board.end()
    with replacing(out) as folder:
        shutil.copytree(work / product, folder)
        if beside is not None:
            shutil.copytree(work / beside, folder / Path(beside).name)
    shutil.rmtree(work)
    if not quiet:
        console.print(f"Written to {out}")
    return results
