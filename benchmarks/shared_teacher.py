"""Students that share their teacher's forward pass, and students apart: ``python -m benchmarks.shared_teacher``.

CPU time of training students of several depths, recipe ``bistil``, from a random BERT of 12 layers on random batches;
each way ``--times`` times in turn, of which the least counts.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import torch
from transformers import BertConfig, BertForMaskedLM, PreTrainedModel

from bistil_ray.models.layers import align_layers
from bistil_ray.models.student import build_student
from bistil_ray.steps.context import Context, Job, LocalContext
from bistil_ray.steps.side_by_side import run_side_by_side
from bistil_ray.train.loop import Batch, Phase, run_phase
from bistil_ray.train.objectives import Distillation

LAYERS, VOCABULARY = 12, 5_000
GROUPS = ((6,), (6, 4), (6, 4, 3))
Train = Callable[[Job, Context], float]


def main() -> None:
    """Print a line for every group of depths."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.shared_teacher", description=__doc__)
    for name, default in (("hidden", 256), ("batch-size", 8), ("length", 64), ("steps", 5), ("times", 3)):
        parser.add_argument(f"--{name}", type=int, default=default)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    teacher = _random_bert(chosen.hidden)
    train = _trainer(teacher, chosen.steps, chosen.batch_size, chosen.length)
    for depths in GROUPS:
        jobs = [Job("distil", {"layers": depth}, {}, {}, Path(f"distil-{depth}")) for depth in depths]
        apart, together = [], []
        for _ in range(chosen.times):
            apart.append(_cpu_seconds(partial(_one_by_one, jobs, train)))
            together.append(_cpu_seconds(partial(run_side_by_side, jobs, LocalContext(), train)))
        shown = "+".join(map(str, depths))
        line = f"{shown:>8} layers  {min(apart):6.1f} s apart  {min(together):6.1f} s together"
        sys.stdout.write(f"{line}  ratio {min(together) / min(apart):.2f}\n")
        sys.stdout.flush()


def _trainer(teacher: PreTrainedModel, steps: int, batch_size: int, length: int) -> Train:
    """Give what trains the student of a job and gives its last loss."""

    def batches(context: Context) -> Iterator[list[Batch]]:
        for step in range(steps):
            context.take_turn(step)
            ids = torch.randint(5, VOCABULARY, (batch_size, length), generator=torch.Generator().manual_seed(step))
            yield [{"input_ids": ids, "attention_mask": torch.ones_like(ids)}]

    def train(job: Job, context: Context) -> float:
        depth = job.settings["layers"]
        teaching = context.teaching(lambda: [teacher])
        student = build_student(teacher, range(LAYERS // depth - 1, LAYERS, LAYERS // depth)).base_model
        encoders = [model.base_model for model in teaching.models]
        weights = {"hidden": 1.0, "attention": 1.0}
        goal = Distillation(student, encoders, align_layers(LAYERS, depth), weights, look=teaching.look)
        progress = run_phase(goal, Phase(steps=steps, lr=1e-4, precision="fp32"), lambda start: batches(context))
        return sum(progress.terms.values())

    return train


def _one_by_one(jobs: Sequence[Job], train: Train) -> list[float]:
    return [train(job, LocalContext()) for job in jobs]


def _cpu_seconds(run: Callable[[], Sequence[float]]) -> float:
    began = time.process_time()
    run()
    return time.process_time() - began


def _random_bert(hidden: int) -> PreTrainedModel:
    return BertForMaskedLM(
        BertConfig(
            vocab_size=VOCABULARY,
            hidden_size=hidden,
            num_hidden_layers=LAYERS,
            num_attention_heads=hidden // 64,
            intermediate_size=4 * hidden,
        )
    ).eval()


if __name__ == "__main__":
    main()
