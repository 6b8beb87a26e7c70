"""Weights & Biases: a group for each run of ours, in it a run for each step."""

from __future__ import annotations

import hashlib
from pathlib import Path

from .finished import FinishedStep


def log_to_wandb(finished: FinishedStep, project: str, run: Path) -> None:
    """Log a step as a run of ``project``, whose files lie in the folder ``run``.

    Key, server and mode are wandb's own: ``wandb login`` or WANDB_API_KEY, WANDB_BASE_URL, WANDB_MODE=offline. Nothing
    is asked on the terminal. A step told again goes on under its old id.
    """
    import wandb

    settings = wandb.Settings(silent=True, console="off", x_disable_stats=True, disable_git=True, save_code=False)
    wandb.setup(settings)  # only here does silence reach the question for a key
    made = wandb.init(
        project=project,
        group=finished.run,
        job_type=finished.kind,
        name=finished.title,
        id=hashlib.blake2b(f"{finished.run}/{finished.key}".encode(), digest_size=8).hexdigest(),
        config={**finished.settings, **finished.about},
        dir=str(run),
        resume="allow",
        reinit="create_new",
        settings=settings,
    )
    for point in finished.points:
        made.log(dict(point.figures), step=point.step)
    made.summary.update({f"final/{name}": value for name, value in finished.figures.items()})
    made.finish()
