"""What a sweep takes on many GPUs, and how far such a prediction can be trusted.

``python -m benchmarks.simulate RUN...`` holds the simulation against real runs, each carried out in one go.
``python -m benchmarks.simulate --plan CONFIG`` predicts the sweep of a configuration over many languages with one
teacher of XLM-R base's shape; what is assumed of GPUs and steps are flags.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean

from rich.console import Console
from rich.table import Table

from benchmarks.played import Fleet, play
from benchmarks.seen import compare, read_seen
from bistil_ray.config_sources import load_config
from bistil_ray.facts import Facts, Input, TaskFacts, TeacherFacts
from bistil_ray.languages import NAMES
from bistil_ray.planning.plan import Plan, make_plan
from bistil_ray.planning.step import Step

TOKENS_PER_SENTENCE = 21
ASSUMED = {
    "tflops": (125.0, "TFLOP/s that a GPU sustains: 40 %% of an A100's 312 in bf16"),
    "update_ms": (40.0, "least milliseconds of an optimiser step, however little there is to compute"),
    "start": (40.0, "seconds from handing out a step to its first work: processes, imports, models"),
    "packing": (900.0, "seconds to count and pack a pair of languages"),
    "scoring": (60.0, "seconds that a step measures its model"),
    "sentences": (14_000.0, "labelled sentences of the source language"),
    "losses": (1.0, "how often a day the machine of a GPU is taken away"),
    "replaced": (300.0, "seconds until there is another"),
}
"""What is assumed: defaults and what they are."""
Assumed = Mapping[str, float]


def plan_of(source: str, languages: int, densities: Sequence[float], sentences: float) -> Plan:
    """Plan a configuration's sweep over made-up inputs: one teacher of XLM-R base's shape, students of 6 layers."""
    langs = sorted(NAMES.keys() - {"en"})[:languages]
    values = {"langs": langs, "teachers": ["xlm-r"], "corpora": "corpora", "task_data": "ner"}
    config = load_config(source, flags={**values, "densities": densities, "layers": [6]})
    model = Input("xlm-r", "xlm-r")
    teacher = TeacherFacts("xlm-r", model, model, 12, 768, 3072, 250_002, "xlm-roberta")
    files = {lang: {"test": Input(f"ner/{lang}", f"labels in {lang}")} for lang in ("en", *langs)}
    files["en"]["train"] = Input("ner/en/train", "training labels")
    lengths = config.teach.max_length, config.finetune.max_length
    tokens = dict.fromkeys(lengths, {"en": int(sentences * TOKENS_PER_SENTENCE)})
    corpora = {lang: Input("corpora", f"texts in {lang}") for lang in ("en", *langs)}
    return make_plan(config, Facts([teacher], corpora, TaskFacts(files, tokens, ("B-PER", "O"))))


def seconds_of(step: Step, assumed: Assumed) -> float:
    """Estimate the work of a step: FLOPs or optimiser steps, whichever takes longer, and measuring what came of it."""
    if step.kind == "pack":
        return assumed["packing"]
    in_labels = step.tokens / (TOKENS_PER_SENTENCE * step.settings.get("batch_size", 1))
    updates = step.settings.get("steps", in_labels)
    return assumed["scoring"] + max(step.flops / (assumed["tflops"] * 1e12), updates * assumed["update_ms"] / 1000)


def predict(plan: Plan, gpus: int, assumed: Assumed, plays: int) -> dict[str, float]:
    """Play a plan through on so many GPUs, a few times with other losses; give the means, all times in hours."""
    seconds = {step.key: seconds_of(step, assumed) for step in plan}
    between = 86_400 / assumed["losses"] if assumed["losses"] else math.inf
    fleet = Fleet(gpus, assumed["start"], between, assumed["replaced"])
    played = [play(plan, seconds, fleet, seed) for seed in range(plays)]

    def mean(name: str) -> float:
        return fmean(getattr(one, name) for one in played)

    times = {name: mean(name) / 3600 for name in ("wall", "critical_path", "paid", "lost")}
    return times | {name: mean(name) for name in ("utilisation", "losses", "unfinished")}


def show_predictions(chosen: argparse.Namespace, console: Console) -> None:
    """Print a prediction for each number of GPUs, and how it changes where one of the assumptions is doubled."""
    gpus = [int(number) for number in chosen.gpus.split(",")]
    densities = [float(density) for density in chosen.densities.split(",")]

    def predictions(assumed: Assumed) -> list[dict[str, float]]:
        plan = plan_of(chosen.plan, chosen.languages, densities, assumed["sentences"])
        return [predict(plan, number, assumed, chosen.plays) for number in gpus]

    assumed = {name: getattr(chosen, name) for name in ASSUMED}
    found = predictions(assumed)
    steps = plan_of(chosen.plan, chosen.languages, densities, assumed["sentences"]).by_kind()
    table = Table("GPUs", "hours", "longest chain", "GPU hours", "at work", "losses", "GPU hours lost", "unfinished")
    table.title = ", ".join(f"{number} {kind}" for kind, number in steps.items())
    for number, one in zip(gpus, found, strict=True):
        times = f"{one['wall']:.1f}", f"{one['critical_path']:.1f}", f"{one['paid']:,.0f}", f"{one['utilisation']:.0%}"
        table.add_row(str(number), *times, *(f"{one[name]:.1f}" for name in ("losses", "lost", "unfinished")))
    doubled = Table("doubled", *(f"hours, {number} GPUs" for number in gpus))
    for name, value in assumed.items():
        changed = zip(predictions({**assumed, name: 2 * value}), found, strict=True)
        doubled.add_row(
            name.replace("_", " "), *(f"{now['wall'] / before['wall'] - 1:+.0%}" for now, before in changed)
        )
    console.print(table, doubled)


def show_comparison(runs: Sequence[str], console: Console) -> None:
    """Print simulated seconds, and in brackets how many times the real ones they are."""
    others = [f"rates of {number}" for number, _ in enumerate(runs, 1)]
    table = Table("", "run", "steps", "slots", "real, s", "own seconds", "half of its steps", *others)
    for number, (run, row) in enumerate(zip(runs, compare([read_seen(run) for run in runs]), strict=True), 1):
        walls = [
            "-" if math.isnan(wall) else f"{wall:.0f} ({wall / row['real']:.2f})"
            for wall in (row["own"], row["half"], *row["others"])
        ]
        table.add_row(str(number), Path(run).name, str(row["steps"]), str(row["slots"]), f"{row['real']:.0f}", *walls)
    console.print(table)


def main() -> None:
    """Compare with runs, or predict."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="*", metavar="RUN")
    parser.add_argument("--plan", metavar="CONFIG", help="a shipped configuration or a file")
    parser.add_argument("--languages", type=int, default=100)
    parser.add_argument("--densities", default="0.02,0.08,0.32")
    parser.add_argument("--gpus", default="8,64,256")
    parser.add_argument("--plays", type=int, default=10, help="simulations, with other losses, to take the mean of")
    for name, (default, meaning) in ASSUMED.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=float, default=default, help=f"{meaning} ({default:g})")
    chosen = parser.parse_args()
    if bool(chosen.runs) == bool(chosen.plan):
        parser.error("give either runs or --plan")
    if chosen.runs:
        show_comparison(chosen.runs, Console())
    else:
        show_predictions(chosen, Console())


if __name__ == "__main__":
    main()
