"""A tiny sweep on one Ray node, on three, with two workers for each step, and on a cluster that starts with none.

The last part starts with none as well, and carries out the whole sample over three languages. All nodes are on this
machine: they have raylets, resources and processes of their own, but share its cores and its disk, so the table is
about results, not about speed. The parts that start with none need port 6379 free.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path

from ..tiny import TinySweep, end, make_inputs
from .clusters import from_zero, several_nodes

LANGUAGES = ("--langs", "sw,yo")
GROWING = ("--set", "execution.autoscaling=true", "--gpus-per-worker", "0", "--max-parallel", "3")
ALL_LANGUAGES = ("--langs", "sw,yo,ha")
PARTS = ("three", "two-workers", "zero", "whole")
SECONDS = 3600.0


def main() -> None:
    """Carry out the sweeps and print what came of each, compared with that on one node."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.several_nodes", description=__doc__)
    parser.add_argument("work", type=Path, help="folder for runs; the same call again continues them")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)} (default: all)")
    args = parser.parse_args()
    if unknown := set(args.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}; allowed: {', '.join(PARTS)}")
    os.environ["RAY_AUTH_MODE"] = "disabled"
    work, parts = args.work.absolute(), args.parts or PARTS
    inputs = make_inputs(work / "inputs")
    one = TinySweep(work / "one", inputs, LANGUAGES)
    print("| cluster | steps | records and SFTs equal to one node's | largest difference of losses | seconds |")
    print("| --- | --: | --- | --: | --: |")
    report("one node", one, one)
    if "three" in parts:
        with several_nodes(3) as address:
            report("three nodes", TinySweep(work / "three", inputs, (*LANGUAGES, "--address", address)), one)
    if "two-workers" in parts:
        with several_nodes(3) as address:
            two = TinySweep(work / "two", inputs, ("--workers", "2", "--address", address))
            report("three nodes, two workers each, sw", two, one)
    if "zero" in parts:
        with from_zero(work) as address:
            zero = TinySweep(work / "zero", inputs, ("--address", address, *GROWING))
            report("none at first, up to three, sw", zero, one)
    if "whole" in parts:
        plain = TinySweep(work / "whole", None, ALL_LANGUAGES)
        report("one node, whole sample", plain, plain)
        with from_zero(work) as address:
            grown = TinySweep(work / "whole-from-zero", None, (*ALL_LANGUAGES, "--address", address, *GROWING))
            report("none at first, up to three, whole sample", grown, plain)


def report(name: str, tiny: TinySweep, reference: TinySweep) -> None:
    """Carry out a sweep, unless it was before, and print a line of the table."""
    began = time.monotonic()
    code, words = end(tiny.start("--yes"), SECONDS)
    if code:
        raise SystemExit(f"{name}: the sweep ended with {code}: {words[-2000:]}")
    seconds = time.monotonic() - began
    found, expected = tiny.outcome(), reference.outcome()
    equal = sum(found[key] == expected[key] for key in found)
    print(
        f"| {name} | {len(tiny.finished())} | {equal} of {len(found)} | {loss_difference(tiny, reference):.1e} "
        f"| {seconds:.0f} |",
        flush=True,
    )


def loss_difference(tiny: TinySweep, reference: TinySweep) -> float:
    """Give the largest relative difference between the phase-1 losses of two runs, over all logged steps."""
    largest = 0.0
    for file in tiny.storage.glob("steps/distil-*/metrics.jsonl"):
        there, here = (losses(place) for place in (reference.storage / "steps" / file.parent.name / file.name, file))
        assert here.keys() == there.keys(), f"{file} has other steps than the reference"
        largest = max([largest, *(abs(here[step] / there[step] - 1) for step in here)])
    return largest


def losses(file: Path) -> dict[int, float]:
    """Give the losses in a step's metrics, by its number of optimiser steps."""
    lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    return {line["step"]: line["loss"] for line in lines if "loss" in line}


if __name__ == "__main__":
    main()
