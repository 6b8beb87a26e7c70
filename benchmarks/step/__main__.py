"""The product's phase-1 step against a plain one: ``python -m benchmarks.step --shape base``.

Two processes take the same steps in turn, so that a busy machine slows both alike, and each pair gives a ratio.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import replace
from statistics import median

from bistil_ray.train.allocator import ENVIRONMENT

from .plain import PlainStep
from .process import Side, Step, device_name, peak_flops, precision_of
from .product import ProductStep
from .shapes import SHAPES

TOLERANCE = {"fp32": 1e-4, "bf16": 1e-3}
"""How far the losses of the two sides may be apart, relatively."""


def main() -> None:
    """Measure and print; exit status 1 if the losses of the two sides differ."""
    chosen = _arguments()
    shape = SHAPES[chosen.shape]
    if chosen.batch:
        shape = replace(shape, batch=chosen.batch)
    precision = precision_of(chosen.precision)
    peak = peak_flops(shape, precision, chosen.threads)
    plain = Side(PlainStep, shape, chosen.plain_precision, chosen.threads)
    product = Side(ProductStep, shape, precision, chosen.threads, ENVIRONMENT, accumulation=chosen.accumulation)
    pairs = [(plain.step(number), product.step(number)) for number in range(chosen.steps + 1)]
    memory = {"plain": plain.end(), "product": product.end()}

    timed = pairs[1:]  # the first step allocates
    seconds = {"plain": median(a.took.seconds for a, _ in timed), "product": median(b.took.seconds for _, b in timed)}
    busy = median(ours.took.busy(chosen.threads) for _, ours in timed)
    difference = max(_difference(ours, theirs) for theirs, ours in pairs)
    found = {
        "shape": chosen.shape,
        "batch": shape.batch,
        "accumulation": chosen.accumulation,
        "precision": precision,
        "plain_precision": chosen.plain_precision,
        "device": device_name(),
        "threads": chosen.threads,
        "steps": chosen.steps,
        "speedup": median(a.took.seconds / b.took.seconds for a, b in timed),
        "cpu_speedup": median(a.took.cpu_seconds / b.took.cpu_seconds for a, b in timed),
        "memory_ratio": memory["product"].own / memory["plain"].own,
        "resident_ratio": memory["product"].resident / memory["plain"].resident,
        "mfu": shape.flops / busy / peak,
        "peak_gflops": peak / 1e9,
        "tokens_per_second": {name: shape.tokens / value for name, value in seconds.items()},
        "memory_mib": {name: value.own for name, value in memory.items()},
        "resident_mib": {name: value.resident for name, value in memory.items()},
        "loss_difference": difference,
        "losses_agree": difference <= TOLERANCE[precision],
    }
    print(json.dumps(found, indent=2) if chosen.json else _table(found))
    sys.exit(0 if found["losses_agree"] else 1)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.step", description=__doc__)
    parser.add_argument("--shape", choices=SHAPES, default="base")
    parser.add_argument("--precision", choices=("auto", "fp32", "bf16"), default="auto", help="of the product")
    parser.add_argument("--plain-precision", choices=("fp32", "bf16"), default="fp32", help="of the plain one")
    parser.add_argument("--steps", type=int, default=10, help="timed steps of each side, after one that is not")
    parser.add_argument("--batch", type=int, help="sequences in a batch, if not the shape's")
    parser.add_argument("--accumulation", type=int, default=1, help="parts that the product cuts a batch into")
    parser.add_argument("--threads", type=int, default=int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1)))
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser.parse_args()


def _difference(ours: Step, theirs: Step) -> float:
    """Give the largest relative difference of a loss."""
    return max(abs(ours.losses[name] - value) / abs(value) for name, value in theirs.losses.items())


def _table(found: dict[str, object]) -> str:
    return "\n".join(f"{name:>20}  {value}" for name, value in found.items())


if __name__ == "__main__":
    main()
