"""Neither how a batch is cut nor how many processes share it changes what is learned."""

from __future__ import annotations

import copy
import importlib.util
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import AutoModelForMaskedLM, PreTrainedModel

from bistil_ray.data.masking import IGNORED
from bistil_ray.models.layers import align_layers
from bistil_ray.models.student import build_student
from bistil_ray.tasks.registry import TASKS
from bistil_ray.train import loop
from bistil_ray.train.learned import Learned
from bistil_ray.train.loop import train_step
from bistil_ray.train.masked_lm import MaskedTokens
from bistil_ray.train.objectives import PLAIN, Distillation, LabelLearning
from bistil_ray.train.optim import make_optimizer
from bistil_ray.train.phase import Batch, Objective, Phase

SCRIPT = Path(__file__).with_name("rank.py")
LOSSES = ("loss_hidden", "loss_attention", "loss_tags", "loss", "loss_l1")
LENGTHS = {"full": [12] * 8, "padded": [12, 3, 7, 12, 1, 9, 5, 2]}


def make_batch(kind: str, seed: int = 0, rows: int = 8) -> dict[str, Tensor]:
    """A batch in which some positions have labels: about a third, and never padding."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(5, 150, (rows, 12), generator=generator)
    mask = (torch.arange(12)[None] < torch.tensor(LENGTHS[kind])[:rows, None]).long()
    labelled = (torch.rand(rows, 12, generator=generator) < 0.35) & mask.bool()
    labelled[:, 0] = True
    return {"input_ids": ids * mask, "attention_mask": mask, "labels": ids.masked_fill(~labelled, IGNORED)}


def cut(batch: dict[str, Tensor], sizes: list[int]) -> list[Batch]:
    parts = {name: values.split(sizes) for name, values in batch.items()}
    return [{name: values[index] for name, values in parts.items()} for index in range(len(sizes))]


@pytest.fixture(scope="module")
def teacher(bert_folder: Path) -> PreTrainedModel:
    return AutoModelForMaskedLM.from_pretrained(bert_folder, dtype=torch.float64)


def distillation(teacher: PreTrainedModel) -> Objective:
    weights = {"hidden": 1.0, "attention": 0.5, "logits": 2.0}
    return Distillation(build_student(teacher, (1, 3)), [teacher], align_layers(4, 2), weights, TASKS["pos"])


def reference(teacher: PreTrainedModel) -> Objective:
    weights = {"hidden": 1.0, "attention": 1.0}
    return Distillation(
        build_student(teacher, (1, 3)), [teacher], align_layers(4, 2), weights, TASKS["pos"], reference=True
    )


def richer(teacher: PreTrainedModel) -> Objective:
    weights = {"hidden": 1.0, "attention": 0.5, "logits": 2.0, "labels": 0.5}
    tokens = MaskedTokens()
    pairs, student = align_layers(4, 2), build_student(teacher, (1, 3))
    return Distillation(student, [teacher], pairs, weights, tokens, places=tokens.places)


def labels(teacher: PreTrainedModel) -> Objective:
    return LabelLearning(build_student(teacher, (1, 3)), TASKS["pos"])


Taken = tuple[dict[str, float], float, dict[str, Tensor | None]]


def step_over(parts: list[Batch], goal: Objective, precision: str) -> Taken:
    """Take a step over these parts of a batch; give its losses, its gradients' norm and the gradients."""
    named = dict(goal.model.named_parameters())
    # A rate of 0: the step is taken, and what the gradients were is left in Adam's first moment.
    optimizer = make_optimizer(named.values(), 0.0)
    terms, norm = train_step(goal, Learned(named), optimizer, parts, Phase(1, 0.0, clip=1e9, precision=precision))
    return terms, norm, {name: optimizer.state[value].get("exp_avg") for name, value in named.items()}


@pytest.mark.parametrize("objective", [distillation, reference, richer, labels])
@pytest.mark.parametrize("kind", LENGTHS)
@pytest.mark.parametrize("sizes", [[2, 2, 2, 2], [5, 1, 2], [3, 0, 5]])
def test_a_batch_in_parts_gives_the_losses_and_gradients_of_the_whole(
    objective: Callable[[PreTrainedModel], Objective], kind: str, sizes: list[int], teacher: PreTrainedModel
) -> None:
    batch = make_batch(kind)
    whole, whole_norm, whole_moments = step_over([batch], objective(teacher), "fp32")
    parted, parted_norm, parted_moments = step_over(cut(batch, sizes), objective(teacher), "fp32")
    assert parted == pytest.approx(whole, rel=1e-10)
    assert parted_norm == pytest.approx(whole_norm, rel=1e-10)
    assert whole_norm > 0
    for name, moment in whole_moments.items():
        other = parted_moments[name]
        assert (moment is None) == (other is None), name
        assert moment is None or torch.allclose(moment, other, rtol=0, atol=1e-10), name


@pytest.mark.parametrize("objective", [distillation, richer, labels])
def test_weights_rounded_once_for_all_parts_give_what_they_give_rounded_in_each(
    objective: Callable[[PreTrainedModel], Objective], teacher: PreTrainedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = cut(make_batch("padded"), [3, 3, 2])
    single = copy.deepcopy(teacher).float()
    once = step_over(parts, objective(single), "bf16")
    rounded_anew = partial(torch.autocast, "cpu", dtype=torch.bfloat16, cache_enabled=False)
    monkeypatch.setattr(loop, "autocast", lambda precision, device: rounded_anew())
    each = step_over(parts, objective(single), "bf16")
    assert once[:2] == each[:2]
    for name, gradient in each[2].items():
        other = once[2][name]
        assert (gradient is None) == (other is None), name
        assert gradient is None or other is None or torch.equal(gradient, other), name


@pytest.mark.parametrize("sizes", [[8], [3, 3, 2]])
def test_a_weight_is_rounded_once_a_step(teacher: PreTrainedModel, sizes: list[int]) -> None:
    goal = labels(copy.deepcopy(teacher).float())
    weight = dict(goal.model.named_parameters())["bert.encoder.layer.0.attention.self.query.weight"]
    rounded = Rounded(weight)
    with rounded:
        step_over(cut(make_batch("padded"), sizes), goal, "bf16")
    assert rounded.times == 1


class Rounded(TorchDispatchMode):
    """How often a weight is made into another number format."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.weight, self.times = weight, 0

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if operation is torch.ops.aten._to_copy.default and args[0].data_ptr() == self.weight.data_ptr():
            self.times += 1
        return operation(*args, **(kwargs or {}))


def test_losses_in_parts_are_shares_of_one_mean_and_not_means_of_parts(teacher: PreTrainedModel) -> None:
    goal = labels(teacher)
    counts = [goal.counts(part)["tags"] for part in cut(make_batch("padded"), [4, 4])]
    assert counts[0] != counts[1], "the parts must differ, or the other tests show nothing"


@pytest.fixture(scope="module")
def rank_script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("rank", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_two_processes_learn_what_one_does(tmp_path: Path, teacher: PreTrainedModel, rank_script: ModuleType) -> None:
    teacher.save_pretrained(tmp_path / "teacher")
    build_student(teacher, (1, 3)).save_pretrained(tmp_path / "student")
    # The last batch has one row: the second process has none.
    batches = [make_batch("padded", 1), make_batch("full", 2), make_batch("padded", 3), make_batch("padded", 4, rows=1)]
    batches.insert(2, make_batch("padded", 5) | {PLAIN: torch.zeros(8)})
    torch.save(batches, tmp_path / "batches.pt")
    ranks = [subprocess.Popen([sys.executable, SCRIPT, tmp_path, str(rank), "2"]) for rank in range(2)]
    try:
        alone, weights = rank_script.train(tmp_path, 0, 1)
        assert [rank.wait(timeout=120) for rank in ranks] == [0, 0]
    finally:
        for rank in ranks:
            rank.kill()
    for rank in range(2):
        shared = torch.load(tmp_path / f"rank-{rank}.pt", weights_only=True)
        for mine, theirs in zip(alone, shared["seen"], strict=True):
            for figure in mine.keys() & {*LOSSES, "gradient_norm"}:
                assert theirs[figure] == pytest.approx(mine[figure], rel=1e-9), (rank, mine["step"], figure)
            assert theirs["tokens"] == mine["tokens"]
        for name, value in weights.items():
            # Adam turns a gradient of rounding noise into a step: keys' biases have no true gradient.
            if not name.endswith("attention.self.key.bias"):
                assert torch.allclose(shared["weights"][name], value, rtol=0, atol=1e-9), (rank, name)
