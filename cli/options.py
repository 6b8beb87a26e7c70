"""Words and options of the command line that several commands share."""

from typing import Annotated

import typer

TASK_HELP = "The task: ner, pos, dep, nli, qa, topic or sentiment."
RECIPE_HELP = "bistil, bistil+, nodistil, minilmv2, distilmbert, scratch"

Quiet = Annotated[bool, typer.Option("--quiet", help="Show no progress, only what failed.")]
