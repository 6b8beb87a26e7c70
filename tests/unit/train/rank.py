"""One process of a distributed training: ``rank.py FOLDER RANK WORLD`` trains on its rows of the batches in FOLDER.

Not a test: tests start several of it, or call ``train`` for one.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
import torch.distributed as dist
from transformers import AutoModelForMaskedLM, PreTrainedModel

from bistil_ray.models.layers import align_layers
from bistil_ray.tasks.registry import TASKS
from bistil_ray.train.loop import run_phase
from bistil_ray.train.objectives import Distillation, TextBesides
from bistil_ray.train.phase import Batch, Phase, Surroundings
from bistil_ray.train.pull import Pull

WEIGHTS = {"hidden": 1.0, "attention": 0.5, "logits": 2.0}


def train(folder: Path, rank: int, world: int) -> tuple[list[dict[str, float]], dict[str, torch.Tensor]]:
    """Distil the student in ``folder``; give the figures of every step and the final weights."""
    teacher, student = (
        AutoModelForMaskedLM.from_pretrained(folder / name, dtype=torch.float64) for name in ("teacher", "student")
    )
    data: list[dict[str, torch.Tensor]] = torch.load(folder / "batches.pt", weights_only=True)
    pairs = align_layers(teacher.config.num_hidden_layers, student.config.num_hidden_layers)
    # Batches of plain text ask nothing of the head.
    labelled = Distillation(student.train(), [teacher], pairs, WEIGHTS, TASKS["pos"])
    goal = TextBesides.of(labelled, decides=False)

    def mine(start: int) -> Iterator[Sequence[Batch]]:
        for batch in data[start:]:
            yield [{name: values[rank::world] for name, values in batch.items()}]

    seen: list[dict[str, float]] = []
    phase = Phase(len(data), 1e-3, precision="fp32", log_every=1)
    masks = {name: value > 0 for name, value in student.named_parameters() if name.endswith("word_embeddings.weight")}
    run_phase(goal, phase, mine, Surroundings(report=seen.append), masks=masks, pull=Pull(_starts(student), 0.1))
    return seen, dict(student.named_parameters())


def _starts(student: PreTrainedModel) -> dict[str, torch.Tensor]:
    # A bias of keys has no true gradient: Adam makes steps of rounding noise, and a pull would see them.
    named = student.named_parameters()
    return {name: value.detach().clone() for name, value in named if not name.endswith("attention.self.key.bias")}


def main(folder: Path, rank: int, world: int) -> None:
    """Take part in the training and leave what came of it in ``rank-<rank>.pt``."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=world)
    seen, weights = train(folder, rank, world)
    found = {"seen": seen, "weights": {name: value.data for name, value in weights.items()}}
    torch.save(found, folder / f"rank-{rank}.pt")
    dist.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
