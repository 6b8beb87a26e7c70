"""The training loop against 30 steps of the reference's phase 1 and its whole 40-step sparse fine-tuning."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModel, AutoModelForTokenClassification, PreTrainedModel

from bistil_ray.models.layers import align_layers
from bistil_ray.tasks.registry import TASKS
from bistil_ray.train.loop import run_phase
from bistil_ray.train.objectives import Distillation
from bistil_ray.train.phase import Batch, Phase, Surroundings
from bistil_ray.train.sparse_tuning import tune_sparsely

# A bias of keys shifts all scores of a query alike: its true gradient is 0, and Adam makes steps of the rounding noise.
NO_GRADIENT = "attention.self.key.bias"
DTYPES = {"float32": torch.float32, "float64": torch.float64}


def loss_tolerance(dtype: str) -> float:
    return 1e-5 if dtype == "float32" else 1e-10


def in_order(data: dict[str, torch.Tensor], size: int = 8) -> list[list[Batch]]:
    rows = len(data["input_ids"])
    return [[{name: values[at : at + size] for name, values in data.items()}] for at in range(0, rows, size)]


def objective(teacher: PreTrainedModel, student: PreTrainedModel, weights: dict[str, float]) -> Distillation:
    pairs = align_layers(teacher.config.num_hidden_layers, student.config.num_hidden_layers)
    return Distillation(student.train(), [teacher], pairs, weights, TASKS["pos"], reference=True)


def run(goal: Distillation, batches: Sequence[Sequence[Batch]], steps: int, lr: float) -> list[dict[str, float]]:
    seen: list[dict[str, float]] = []

    def stream(start: int) -> Iterator[Sequence[Batch]]:
        return iter(batches[start:])

    run_phase(goal, Phase(steps, lr, precision="fp32", log_every=1), stream, Surroundings(report=seen.append))
    return seen


def test_thirty_steps_of_phase_1_give_the_reference_losses(golden: Path) -> None:
    records = json.loads((golden / "train" / "train30.json").read_text())
    data = load_file(golden / "train" / "batches.safetensors")
    checked = 0
    for key, steps in records.items():
        if key == "hf_args":
            continue
        case, student_name, dtype, rate = key.split("/")
        family = case.split("_")[0]
        teacher = AutoModel.from_pretrained(golden / family / "teacher_base", dtype=DTYPES[dtype])
        student = AutoModel.from_pretrained(golden / family / student_name, dtype=DTYPES[dtype])
        batches = in_order({name.split("/")[1]: value for name, value in data.items() if name.startswith(case + "/")})
        goal = objective(teacher, student, {"hidden": 1.0, "attention": 1.0})
        seen = run(goal, batches, len(steps), float(rate.removeprefix("lr")))
        for step, (mine, theirs) in enumerate(zip(seen, steps, strict=True)):
            where = f"{key} step {step}"
            assert mine["loss"] == pytest.approx(theirs["loss"], rel=loss_tolerance(dtype)), where
            assert mine["lr"] == pytest.approx(theirs["lr"], rel=1e-12), where
            norm = 1e-3 if dtype == "float32" else 1e-8
            assert mine["gradient_norm"] == pytest.approx(theirs["grad_norm_before_clip"], rel=norm), where
        final = golden / "train" / f"final_{case}_{student_name}_{rate}.safetensors"
        if dtype == "float32" and final.exists():
            trained = student.state_dict()
            for name, value in load_file(final).items():
                if not name.endswith(NO_GRADIENT):
                    assert torch.allclose(trained[name], value, rtol=0, atol=1e-4), f"{key} {name}"
        checked += 1
    assert checked


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_sparse_fine_tuning_gives_the_reference_losses_choice_and_student(golden: Path, dtype: str) -> None:
    record = json.loads((golden / "ltsft" / "ltsft.json").read_text()).get(f"ltsft_run_{dtype}")
    if record is None:
        pytest.skip(f"no ltsft_run_{dtype} among the golden records")
    folder = golden / "bert"
    teacher = AutoModelForTokenClassification.from_pretrained(folder / "teacher_tc", dtype=DTYPES[dtype])
    student = AutoModelForTokenClassification.from_pretrained(folder / "student_tc_lrf2_hrf1_copy", dtype=DTYPES[dtype])
    batches = in_order(load_file(golden / "ltsft" / "train_batches.safetensors"))
    goal = objective(teacher, student, {"hidden": 1.0, "attention": 1.0, "logits": 1.0})
    head = [name for name, _ in student.named_parameters() if not name.startswith("bert.")]
    phase = Phase(20, 1e-3, precision="fp32", log_every=1)
    seen: list[dict[str, float]] = []
    done = tune_sparsely(
        goal,
        lambda start, stop: iter(batches[start:stop]),
        phase,
        phase,
        density=0.08,
        head=head,
        around=Surroundings(report=seen.append),
    )

    for step, (mine, theirs) in enumerate(zip(seen, record["steps"], strict=True)):
        assert mine["loss"] == pytest.approx(theirs["loss"], rel=loss_tolerance(dtype)), step
        assert mine["lr"] == pytest.approx(theirs["lr"], rel=1e-12), step
    final = {name: value.detach() for name, value in student.named_parameters()}
    changed = {name: value != done.before[name] for name, value in final.items() if name not in head}
    assert 0.99 * record["selected"] <= sum(int(entries.sum()) for entries in changed.values()) <= record["selected"]
    if dtype == "float32":
        for name, mask in load_file(golden / "ltsft" / "ltsft_run" / "masks.safetensors").items():
            assert not (changed[name] & ~mask.bool()).any(), name
        for name, value in load_file(golden / "ltsft" / "ltsft_run" / "final_student.safetensors").items():
            if not name.endswith(NO_GRADIENT):
                assert torch.allclose(final[name], value, rtol=0, atol=1e-4), name
