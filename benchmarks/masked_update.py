"""An optimiser step of LT-SFT against a dense one: ``python -m benchmarks.masked_update [--density D] [--times N]``.

What follows the backward pass is measured, on the parameters of a BERT of 110 M: clipping and AdamW of everything, of
the chosen entries as the product does it, and of gradients multiplied by masks.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from bistil_ray.train.learned import Learned
from bistil_ray.train.optim import make_optimizer

from .alone import peak_megabytes, run_alone

LAYERS, HIDDEN, VOCABULARY = 12, 768, 30_000
WAYS = ("dense", "chosen entries", "masked gradients")


def main() -> None:
    """Measure every way in a process of its own, one after the other, and print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.masked_update", description=__doc__)
    parser.add_argument("--density", type=float, default=0.08)
    parser.add_argument("--times", type=int, default=10)
    chosen = parser.parse_args()
    found = {}
    for way in WAYS:
        found[way] = run_alone(measure, way, chosen.density, chosen.times)
    dense, _ = found["dense"]
    for way, (seconds, mib) in found.items():
        line = f"{way:>17}  {1000 * seconds:5.0f} ms of CPU ({seconds / dense:.2f} of dense)  {mib:5.0f} MiB"
        sys.stdout.write(line + "\n")


def measure(way: str, density: float, times: int) -> tuple[float, float]:
    """Give the least CPU seconds of an update, and MiB of memory besides weights and gradients, at its peak."""
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    named = {name: nn.Parameter(torch.randn(shape, generator=generator)) for name, shape in _shapes().items()}
    gradients = {name: torch.randn(value.shape, generator=generator) for name, value in named.items()}
    before = peak_megabytes()
    masks = {}
    if way != "dense":
        masks = {name: torch.rand(value.shape, generator=generator) < density for name, value in named.items()}
    learned = Learned(named, masks if way == "chosen entries" else None)
    optimizer = make_optimizer(learned.moved.values(), 1e-4)
    taken = []
    for _ in range(times):
        for name, parameter in named.items():
            parameter.grad = gradients[name]
        began = time.process_time()
        if way == "masked gradients":
            _multiply(named, masks)
        learned.take_gradients()
        nn.utils.clip_grad_norm_(learned.moved.values(), 1.0)
        optimizer.step()
        learned.put_back()
        taken.append(time.process_time() - began)
    return min(taken), peak_megabytes() - before


def _multiply(named: Mapping[str, nn.Parameter], masks: Mapping[str, Tensor]) -> None:
    for name, mask in masks.items():
        gradient = named[name].grad
        assert gradient is not None
        gradient.mul_(mask)


def _shapes() -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {"embeddings": (VOCABULARY, HIDDEN)}
    for layer in range(LAYERS):
        shapes |= {f"{layer}.attention.{part}": (HIDDEN, HIDDEN) for part in ("query", "key", "value", "output")}
        shapes |= {f"{layer}.in": (4 * HIDDEN, HIDDEN), f"{layer}.out": (HIDDEN, 4 * HIDDEN)}
    return shapes


if __name__ == "__main__":
    main()
