"""Memory of tuning a whole teacher, the largest step of a sweep: ``python -m benchmarks.teacher_memory [SHAPE...]``.

Teachers of published shapes with random weights learn labels; each batch in a process of its own, with one thread.
Beside what it took stands what a sweep reckons with when it works out how many steps fit side by side.
"""

from __future__ import annotations

import argparse
from typing import NamedTuple

import psutil

from .alone import peak_megabytes, run_alone

STEPS = 3


class Shape(NamedTuple):
    """A teacher's size."""

    tokens: int
    layers: int
    hidden: int


class Measured(NamedTuple):
    """Parameters, and the most bytes held besides Python and its libraries."""

    parameters: int
    held: int


SHAPES = {
    "mini-mbert": Shape(119_547, 12, 256),
    "mbert": Shape(119_547, 12, 768),
    "xlm-r-base": Shape(250_002, 12, 768),
}
BATCHES = ((8, 256), (32, 128))


def tune(shape: Shape, rows: int, length: int, precision: str) -> Measured:
    """Take a few steps on labels of random text, each a little shorter than the one before, as batches are."""
    import torch
    from transformers import BertConfig, BertForTokenClassification

    from bistil_ray.tasks.registry import TASKS
    from bistil_ray.train.learned import Learned
    from bistil_ray.train.loop import train_step
    from bistil_ray.train.objectives import LabelLearning
    from bistil_ray.train.optim import make_optimizer
    from bistil_ray.train.phase import Phase

    torch.set_num_threads(1)
    libraries = psutil.Process().memory_info().rss
    config = BertConfig(
        vocab_size=shape.tokens,
        num_hidden_layers=shape.layers,
        hidden_size=shape.hidden,
        num_attention_heads=shape.hidden // 64,
        intermediate_size=4 * shape.hidden,
        num_labels=9,
    )
    model = BertForTokenClassification(config).train()
    learned = Learned(dict(model.named_parameters()))
    optimizer = make_optimizer(learned.moved.values(), 1e-5)
    for step in range(STEPS):
        ids = torch.randint(shape.tokens, (rows, length - 8 * step), generator=torch.Generator().manual_seed(step))
        batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": ids % 9}
        train_step(LabelLearning(model, TASKS["ner"]), learned, optimizer, [batch], Phase(1, 1e-5, precision=precision))
    return Measured(model.num_parameters(), round(2**20 * peak_megabytes()) - libraries)


def main() -> None:
    """Measure and print a line for each shape and batch."""
    from bistil_ray.distributed.cluster import BYTES_PER_PARAMETER, BYTES_PER_STATE

    parser = argparse.ArgumentParser(prog="python -m benchmarks.teacher_memory", description=__doc__)
    parser.add_argument("shapes", nargs="*", metavar="SHAPE", help=f"of {', '.join(SHAPES)}; all of them if not given")
    parser.add_argument("--precision", choices=("auto", "fp32", "bf16"), default="auto")
    chosen = parser.parse_args()
    for name in chosen.shapes or SHAPES:
        shape = SHAPES[name]
        for rows, length in BATCHES:
            found = run_alone(tune, shape, rows, length, chosen.precision)
            states = rows * length * shape.layers * shape.hidden
            expected = BYTES_PER_PARAMETER * found.parameters + BYTES_PER_STATE * states
            kept = (found.held - BYTES_PER_PARAMETER * found.parameters) / states
            print(
                f"{name}, {found.parameters / 1e6:.0f} M parameters, {rows} x {length} tokens: "
                f"{found.held / 1e9:.2f} GB, expected {expected / 1e9:.2f}; "
                f"{kept:.0f} bytes for each token, unit and layer",
                flush=True,
            )


if __name__ == "__main__":
    main()
