"""Students that share their teacher's forward pass, and students apart: ``python -m benchmarks.shared_teacher``.

CPU time of training students, recipe ``bistil``, from a random BERT of 12 layers on random batches: of several depths
in phase 1, of several densities in phase 2 (LT-SFT, 3 steps to choose and 10 to tune what was chosen). Each way
``--times`` times in turn, of which the least counts.
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
from bistil_ray.train.loop import run_phase
from bistil_ray.train.objectives import Distillation
from bistil_ray.train.phase import Batch, Phase
from bistil_ray.train.sparse_tuning import tune_sparsely

LAYERS, VOCABULARY = 12, 5_000
STUDENTS = {
    "distil": [{"layers": depth} for depth in (6, 4, 3)],
    "finetune": [{"layers": 6, "density": density} for density in (0.08, 0.02, 0.32)],
}
DENSE, SPARSE = 3, 10
Train = Callable[[Job, Context], float]


def main() -> None:
    """Print a line for each phase and number of students."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.shared_teacher", description=__doc__)
    for name, default in (("hidden", 256), ("batch-size", 8), ("length", 64), ("steps", 5), ("times", 3)):
        parser.add_argument(f"--{name}", type=int, default=default)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    teacher = _random_bert(chosen.hidden)
    train = _trainer(teacher, chosen.steps, partial(_batch, chosen.batch_size, chosen.length))
    for kind, students in STUDENTS.items():
        for number in range(1, len(students) + 1):
            jobs = [Job(kind, settings, {}, {}, Path("-".join(map(str, settings.values())))) for settings in students]
            apart, together = [], []
            for _ in range(chosen.times):
                apart.append(_cpu_seconds(partial(_one_by_one, jobs[:number], train)))
                together.append(_cpu_seconds(partial(run_side_by_side, jobs[:number], LocalContext(), train)))
            shown = f"{kind} {' + '.join(str(list(job.settings.values())[-1]) for job in jobs[:number])}"
            line = f"{shown:28} {min(apart):6.1f} s apart  {min(together):6.1f} s together"
            sys.stdout.write(f"{line}  ratio {min(together) / min(apart):.2f}\n")
            sys.stdout.flush()


def _trainer(teacher: PreTrainedModel, steps: int, batch: Callable[[int], Batch]) -> Train:
    """Give what trains the student of a job and gives its last loss."""

    def batches(context: Context, start: int, stop: int) -> Iterator[list[Batch]]:
        for step in range(start, stop):
            context.take_turn(step)
            yield [batch(step)]

    def train(job: Job, context: Context) -> float:
        depth = job.settings["layers"]
        teaching = context.teaching(lambda: [teacher])
        student = build_student(teacher, range(LAYERS // depth - 1, LAYERS, LAYERS // depth)).base_model
        encoders = [model.base_model for model in teaching.models]
        weights = {"hidden": 1.0, "attention": 1.0}
        goal = Distillation(student, encoders, align_layers(LAYERS, depth), weights, look=teaching.look)
        whole, dense, sparse = (Phase(steps=number, lr=1e-4, precision="fp32") for number in (steps, DENSE, SPARSE))
        if job.kind == "distil":
            return sum(run_phase(goal, whole, lambda start: batches(context, start, steps)).terms.values())
        once = partial(context.in_common, "dense phase")
        tuning = tune_sparsely(
            goal, partial(batches, context), dense, sparse, density=job.settings["density"], once=once
        )
        return sum(tuning.terms.values())

    return train


def _batch(rows: int, length: int, step: int) -> Batch:
    ids = torch.randint(5, VOCABULARY, (rows, length), generator=torch.Generator().manual_seed(step))
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}


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
