"""The tasks there are, by the name they have in configurations."""

from __future__ import annotations

from ..errors import ConfigError
from .answering import Answering
from .classification import Classification
from .parsing import Parsing
from .tagging import Tagging
from .task import Task

TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        Tagging("ner", tags="ner_tags", spans=True),
        Tagging("pos", tags="upos", spans=False),
        Parsing(),
        Classification("nli", texts=("premise", "hypothesis"), metric="accuracy"),
        Answering(),
        Classification("topic", texts=("text",), metric="accuracy"),
        Classification("sentiment", texts=("text",), metric="macro_f1"),
    )
}


def task_named(name: str) -> Task:
    """Give the task that ``--task`` names; ConfigError where there is none."""
    if name not in TASKS:
        raise ConfigError(f"--task {name!r} is not known: allowed are {', '.join(TASKS)}")
    return TASKS[name]
