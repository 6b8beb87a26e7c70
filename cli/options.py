"""Words and options of the command line that several commands share."""

from typing import Annotated

import typer

CORPORA_HELP = "Where <lang>.parquet or <lang>/*.parquet lie."
TASK_HELP = "The task: ner, pos, dep, nli, qa, topic or sentiment."
RECIPE_HELP = "bistil, bistil+, nodistil, minilmv2, distilmbert, scratch"

AsJson = Annotated[bool, typer.Option("--json", help="Print data as JSON instead of tables.")]
Corpora = Annotated[str, typer.Option(help=CORPORA_HELP)]
LabelMap = Annotated[
    list[str] | None, typer.Option(help="Rename a label of the data, such as DATE=O; may be repeated.")
]
Quiet = Annotated[bool, typer.Option("--quiet", help="Show no progress, only what failed.")]
Seed = Annotated[int, typer.Option(help="Random seed.", min=0, max=2**53 - 1)]


def renamed_labels(given: list[str] | None) -> dict[str, str]:
    """Read ``--label-map OLD=NEW``; ConfigError where one has another form."""
    from bistil_ray.errors import ConfigError

    pairs = [entry.partition("=") for entry in given or []]
    for entry, (old, equals, new) in zip(given or [], pairs, strict=True):
        if not (old and equals and new):
            raise ConfigError(f"--label-map {entry!r} is no pair: write --label-map DATE=O")
    return {old: new for old, _, new in pairs}
