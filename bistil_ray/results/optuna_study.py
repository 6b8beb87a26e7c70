"""Records as finished trials of Optuna studies, so that optuna-dashboard opens a run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError, StorageError, first_line
from .records import SETTING, Record, read_plan

if TYPE_CHECKING:
    from optuna import Study
    from optuna.distributions import BaseDistribution

FLAG = "--to-optuna"
CHOICES = ("teacher", "recipe")
PARAMETERS = tuple(name for name in SETTING if name not in ("lang", "assignment"))
ATTRIBUTES = (
    "step", "metric", "validation_score", "teacher_score", "retention", "agreement", "source_score", "params", "bytes",
    "latency_ms", "tokens", "seconds", "assignment", "model_dir",
)  # fmt: skip


def write_studies(records: Iterable[Record], run: Path, storage: str) -> dict[str, int]:
    """Add the students among ``records`` to the studies ``<run>/<task>/<lang>``; give how many were new in each.

    ``storage`` is what optuna takes, such as ``sqlite:///FILE``. A trial's value is the score, its parameters are the
    settings, its attributes what else was measured. What a study has already is not added again. Raises ConfigError
    where optuna is not installed, StorageError where the storage cannot be opened or holds another study.
    """
    if find_spec("optuna") is None:
        raise ConfigError(f"{FLAG} needs optuna: pip install 'bistil-ray[optuna]'")
    if "://" not in storage:
        raise ConfigError(f"{FLAG} is {storage!r}: must be a database, such as sqlite:///mine.db")
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    students = [record for record in records if record.is_student]
    space = _space(students, [step["about"] for step in read_plan(run) or []])
    studies: dict[str, list[Record]] = {}
    for record in students:
        studies.setdefault(f"{run.resolve().name}/{record.task}/{record.lang}", []).append(record)
    try:
        opened = optuna.storages.get_storage(storage)
        return {name: _write_study(name, mine, space, opened) for name, mine in studies.items()}
    except Exception as problem:  # whatever the database at hand raises
        raise StorageError(f"{FLAG} {storage!r}: {first_line(problem)}") from problem


def _write_study(name: str, records: Sequence[Record], space: Mapping[str, BaseDistribution], storage: Any) -> int:  # noqa: ANN401
    import optuna

    study = _study_of(name, space, storage)
    there = {trial.user_attrs.get("step") for trial in study.get_trials(deepcopy=False)}
    new = [record for record in records if record.step not in there]
    for record in new:
        # A setting that others of the run have and this record has not is no parameter of its trial.
        values = {key: value for key in PARAMETERS if (value := getattr(record, key)) is not None}
        known = {key: value for key in ATTRIBUTES if (value := getattr(record, key)) is not None}
        study.add_trial(
            optuna.trial.create_trial(
                value=record.score,
                params=values,
                distributions={key: space[key] for key in values},
                user_attrs=known,
            )
        )
    return len(new)


def _study_of(name: str, space: Mapping[str, BaseDistribution], storage: Any) -> Study:  # noqa: ANN401
    """Open a study; one of other choices, which all trials must share, is begun anew if its trials are all students."""
    import optuna

    make = partial(optuna.create_study, storage=storage, study_name=name, direction="maximize", load_if_exists=True)
    study = make()
    trials = study.get_trials(deepcopy=False)
    if all(trial.distributions.get(key, space[key]) == space[key] for trial in trials for key in CHOICES):
        return study
    if not all("step" in trial.user_attrs for trial in trials):
        raise StorageError(f"study {name} lacks choices that the run has, and has trials that are none of its students")
    optuna.delete_study(study_name=name, storage=storage)
    return make()


def _space(records: Sequence[Record], planned: Sequence[Mapping[str, Any]]) -> dict[str, BaseDistribution]:
    """Give what each setting may be, over the whole run: all trials of a study must be of one space."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    values = {
        key: {entry[key] for entry in [*planned, *(vars(record) for record in records)] if entry.get(key) is not None}
        for key in PARAMETERS
    }
    space: dict[str, BaseDistribution] = {}
    for key, found in values.items():
        if key in CHOICES:
            space[key] = CategoricalDistribution(sorted(found))
        elif found:
            low, high = min(found), max(found)
            space[key] = FloatDistribution(low, high, log=True) if key == "density" else IntDistribution(low, high)
    return space
