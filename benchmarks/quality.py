"""Are the students good? ``python -m benchmarks.quality SHARED STORAGE --preset quick``: recipes x languages x seeds.

SHARED holds ``data/`` and ``models/``. For each task one sweep with the same text, tokens and labels for every recipe,
then one table: mean and spread over seeds of the zero-shot score, share of the teacher's, size and latency. It is a
sweep: the same command again continues. ``--changes`` tries changes to recipe bistil, one at a time, on the same seeds.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev

from rich.console import Console
from rich.table import Table

from bistil_ray.results.comparison import Setting, settings_of
from bistil_ray.results.records import Record, read_records

COMMON = {"packing.length": 128, "distil.batch_size": 16, "distil.lr": 5e-4, "distil.evaluations": 3}
COMMON |= {f"{phase}.batch_size": 32 for phase in ("teach", "finetune")}
COMMON |= {f"{phase}.max_length": 128 for phase in ("teach", "finetune")}
COMMON |= {f"{phase}.warmup": 0.1 for phase in ("teach", "finetune")}
COMMON |= {"teach.lr": 3e-4, "finetune.lr": 5e-4}
NAMES = {"label_map.DATE": "O"}  # English names have no dates


@dataclass(frozen=True)
class Preset:
    """What is swept: recipes, languages, seeds, steps of phase 1; by task the epochs of the teacher and of phase 2."""

    recipes: str
    langs: str
    seeds: str
    steps: int
    tasks: Mapping[str, tuple[float, float]]


PRESETS = {
    "quick": Preset("bistil,bistil+,nodistil,scratch", "sw", "0,1,2", 300, {"ner": (1, 0.25)}),
    "full": Preset(
        "bistil,bistil+,nodistil,minilmv2,distilmbert,scratch",
        "sw,yo,ha",
        "0,1,2",
        300,
        {"ner": (2, 0.5), "pos": (3, 1), "topic": (15, 10), "dep": (3, 1)},
    ),
}
PROGRAM = (sys.executable, "-m", "bistil_ray.cli")
TREEBANKS = "yo"  # the one target language with a treebank of written text

CHANGES: dict[str, dict[str, object]] = {
    "phase 1 learns predictions": {"distil.logit_weight": 1},
    "phase 1 learns predictions and tokens": {"distil.logit_weight": 1, "distil.label_weight": 1},
    "phase 1 learns tokens": {"distil.label_weight": 1},
    "phase 1 without attention": {"distil.attention_weight": 0},
    "top layers": {"distil.layer_choice": "top"},
    "bottom layers": {"distil.layer_choice": "bottom"},
    "every character kept": {"vocabulary.keep_characters": True},
    "phase 2 logits times T^2": {"finetune.logit_weight": 4},
    "phase 2 temperature 1": {"finetune.temperature": 1},
    "phase 2 learns labels": {"finetune.label_weight": 1},
    "phase 2 sees text": {"finetune.text_share": 0.5},
    "phase 2 sees much text": {"finetune.text_share": 0.75},
    "phase 2 without states": {"finetune.hidden_weight": 0, "finetune.attention_weight": 0},
    "weights averaged": {"finetune.average": 0.5},
    "density 0.32": {"densities": "[0.32]"},
    "teacher tuned sparsely": {"teach.density": 0.08},
}


def main() -> None:
    """Sweep and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quality", description=__doc__)
    parser.add_argument("shared", type=Path, nargs="?", default=Path("../shared"), help="../shared if not given")
    parser.add_argument("storage", type=Path, nargs="?", default=Path("runs/quality"), help="runs/quality if not given")
    parser.add_argument("--preset", choices=PRESETS, default="quick")
    parser.add_argument("--teacher", help="folder of a masked language model; mini-mbert-6l, trimmed, if not given")
    parser.add_argument("--tasks", help="some of the preset's tasks, such as ner,pos")
    parser.add_argument("--langs", help="the preset's if not given, as recipes and seeds")
    parser.add_argument("--recipes")
    parser.add_argument("--seeds")
    parser.add_argument("--changes", nargs="*", choices=CHANGES, metavar="NAME", help="all of them if none is named")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting for all sweeps")
    given = parser.parse_args()
    preset = PRESETS[given.preset]
    languages = given.langs or preset.langs
    teacher = given.teacher or trimmed_teacher(given.shared, given.storage, languages)
    more = dict(entry.split("=", 1) for entry in given.set)

    def swept(task: str, name: str, recipes: str, settings: Mapping[str, object]) -> list[Record]:
        epochs, student_epochs = preset.tasks[task]
        epochs_of = {
            "teach.epochs": epochs,
            "teach.sparse_epochs": epochs,
            "finetune.dense_epochs": student_epochs,
            "finetune.sparse_epochs": student_epochs,
        }
        every = {
            **COMMON,
            **epochs_of,
            "distil.steps": preset.steps,
            **(NAMES if task == "ner" else {}),
            **more,
            **settings,
        }
        langs = TREEBANKS if task == "dep" else languages
        data = given.shared / "data"
        command = [*PROGRAM, "sweep", "--yes", "--langs", langs, "--task", task, "--task-data", data / task]
        command += ["--corpora", data / "corpora", "--teachers", teacher, "--recipes", recipes]
        command += ["--seeds", given.seeds or preset.seeds, "--storage", given.storage, "--name", name]
        carry_out([*command, *(f"--set={key}={value}" for key, value in every.items())])
        return read_records(given.storage / name)

    tasks = given.tasks.split(",") if given.tasks else list(preset.tasks)
    runs = {task: swept(task, task, given.recipes or preset.recipes, {}) for task in tasks}
    console = Console(width=160)
    console.print(recipe_table(runs))
    if given.changes is not None:
        changed = {
            name: [
                record
                for task in tasks
                for record in swept(task, f"{task}-{name.replace(' ', '-').replace('^', '')}", "bistil", CHANGES[name])
            ]
            for name in given.changes or CHANGES
        }
        console.print(change_table([record for run in runs.values() for record in run], changed))


def trimmed_teacher(shared: Path, storage: Path, langs: str) -> Path:
    """Cut the small teacher's vocabulary to the languages: nothing is lost, and tuning it on a task gets cheaper."""
    folder = storage / "teacher"
    if not folder.exists():
        command = [*PROGRAM, "trim", "--teacher", shared / "models/mini-mbert-6l", "--langs", f"en,{langs}"]
        command += ["--corpora", shared / "data/corpora", "--out", folder]
        carry_out(command)
    return folder


def carry_out(command: Sequence[object]) -> None:
    """Run one of the product's commands; end as it does where it was not done, if only with failed steps."""
    code = subprocess.run(list(map(str, command)), check=False).returncode
    if code not in (0, 1):
        sys.exit(code)


def recipe_table(runs: Mapping[str, Sequence[Record]]) -> Table:
    """Make the table of recipes: a row each, a column for each task and language, then means over these columns."""
    settings = [setting for run in runs.values() for setting in settings_of(run)]
    columns = list(dict.fromkeys(_column(setting) for setting in settings))
    table = Table(
        "recipe", *columns, "mean", "of teacher", "parameters", "ms", title="zero-shot score, mean ± spread over seeds"
    )
    for recipe in dict.fromkeys(setting.records[0].recipe for setting in settings):
        cells = {_column(setting): setting for setting in settings if setting.records[0].recipe == recipe}
        records = [record for setting in cells.values() for record in setting.records]
        kept = [record.retention for record in records if record.retention is not None]
        latencies = [record.latency_ms for record in records if record.latency_ms is not None]
        table.add_row(
            recipe,
            *(_cell(cells.get(column)) for column in columns),
            f"{fmean(setting.mean for setting in cells.values()):.3f}",
            f"{fmean(kept):.0%}" if kept else "",
            f"{fmean(record.params for record in records) / 1e6:.2f} M",
            f"{fmean(latencies):.1f}" if latencies else "",
        )
    return table


def change_table(plain: Sequence[Record], changed: Mapping[str, Sequence[Record]]) -> Table:
    """Make the table of changes: what each gains over bistil, pair by pair of the same task, language and seed."""
    base = {_place(record): record.score for record in plain if record.recipe == "bistil"}
    columns = list(dict.fromkeys(f"{task} {lang}" for task, lang, _ in base))
    table = Table("change", *columns, "mean", title="gain over bistil, mean ± spread over seeds, in points")
    for name, records in changed.items():
        gains = {_place(record): 100 * (record.score - base[_place(record)]) for record in records if record.is_student}
        cells = [[gain for place, gain in gains.items() if f"{place[0]} {place[1]}" == column] for column in columns]
        table.add_row(name, *map(_spread, cells), _spread(list(gains.values())))
    return table


def _place(record: Record) -> tuple[str, str, int]:
    return record.task, record.lang, record.seed


def _column(setting: Setting) -> str:
    return f"{setting.records[0].task} {setting.records[0].lang}"


def _cell(setting: Setting | None) -> str:
    if setting is None:
        return ""
    return f"{setting.mean:.3f}" + ("" if setting.spread is None else f" ± {setting.spread:.3f}")


def _spread(gains: Sequence[float]) -> str:
    if not gains:
        return ""
    return f"{fmean(gains):+.1f}" + (f" ± {stdev(gains):.1f}" if len(gains) > 1 else "")


if __name__ == "__main__":
    main()
