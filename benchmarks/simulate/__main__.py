"""What a sweep takes on many GPUs, and how far such a prediction can be trusted.

``python -m benchmarks.simulate RUN...`` holds the simulation against real runs, each carried out in one go.
``python -m benchmarks.simulate --plan CONFIG`` predicts the sweep of a configuration over many languages with one
teacher of XLM-R base's shape; what is assumed of GPUs and steps are flags.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from .prediction import ASSUMED, Assumed, plan_of, predict
from .seen import compare, read_seen


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
    parser = argparse.ArgumentParser(prog="python -m benchmarks.simulate", description=__doc__)
    parser.add_argument("runs", nargs="*", metavar="RUN")
    parser.add_argument("--plan", metavar="CONFIG", help="a shipped configuration or a file")
    parser.add_argument("--languages", type=int, default=100)
    parser.add_argument("--densities", default="0.02,0.08,0.32")
    parser.add_argument("--gpus", default="8,64,256")
    parser.add_argument("--plays", type=int, default=10, help="simulations, with other losses, to take the mean of")
    for name, (default, meaning) in ASSUMED.items():
        meant = f"{meaning} ({default:g})".replace("%", "%%")
        parser.add_argument(f"--{name.replace('_', '-')}", type=float, default=default, help=meant)
    chosen = parser.parse_args()
    if bool(chosen.runs) == bool(chosen.plan):
        parser.error("give either runs or --plan")
    if chosen.runs:
        show_comparison(chosen.runs, Console())
    else:
        show_predictions(chosen, Console())


if __name__ == "__main__":
    main()
