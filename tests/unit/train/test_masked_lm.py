"""Logits at corrupted tokens alone give the loss and the gradients of logits everywhere."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional
from transformers import AutoModelForMaskedLM, PreTrainedModel

from bistil_ray.data.masking import IGNORED
from bistil_ray.models.logits_at import ROWS
from bistil_ray.train.masked_lm import MaskedLanguageModelling


@pytest.fixture(params=["bert_folder", "xlmr_folder"])
def model(request: pytest.FixtureRequest) -> PreTrainedModel:
    folder: Path = request.getfixturevalue(request.param)
    return AutoModelForMaskedLM.from_pretrained(folder, dtype=torch.float64)


def make_batch(rows: int = 4, share: float = 0.3) -> dict[str, Tensor]:
    """Blocks with padding at the end of the last, some of whose tokens are corrupted."""
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(5, 100, (rows, 9), generator=generator)
    mask = torch.ones_like(ids)
    mask[-1, 5:] = 0
    chosen = (torch.rand(ids.shape, generator=generator) < share) & mask.bool()
    return {"input_ids": ids, "attention_mask": mask, "labels": ids.masked_fill(~chosen, IGNORED)}


def test_loss_and_gradients_are_those_of_all_logits(model: PreTrainedModel) -> None:
    batch = make_batch()
    logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
    full = functional.cross_entropy(logits.flatten(0, 1), batch["labels"].flatten(), ignore_index=IGNORED)
    full.backward()
    expected = {name: value.grad for name, value in model.named_parameters()}
    model.zero_grad(set_to_none=True)

    objective = MaskedLanguageModelling(model)
    (loss,) = objective.losses(batch, objective.counts(batch)).values()
    loss.backward()
    assert loss.item() == pytest.approx(full.item(), rel=1e-12)
    for name, value in model.named_parameters():
        assert value.grad is not None and torch.allclose(value.grad, expected[name], rtol=0, atol=1e-14), name


def test_the_head_sees_corrupted_tokens_only_in_few_shapes(model: PreTrainedModel) -> None:
    batch = make_batch()
    seen: list[tuple[int, ...]] = []
    model.get_output_embeddings().register_forward_hook(lambda layer, given, logits: seen.append(logits.shape))
    corrupted = batch["labels"] != IGNORED
    for left in range(int(corrupted.sum()) + 1):
        batch["labels"][corrupted] = torch.where(torch.arange(int(corrupted.sum())) < left, 7, IGNORED)
        MaskedLanguageModelling(model).losses(batch, {"mlm": 1.0})
    assert {shape[::2] for shape in seen} == {(1, model.config.vocab_size)}
    assert [rows for _, rows, _ in seen] == [ROWS * math.ceil(left / ROWS) for left in range(len(seen))]


def test_parts_of_a_batch_add_up_even_where_one_has_nothing_to_predict(model: PreTrainedModel) -> None:
    batch = make_batch()
    batch["labels"][2:] = IGNORED
    objective = MaskedLanguageModelling(model)
    counts = objective.counts(batch)
    parts = [{name: value[rows] for name, value in batch.items()} for rows in (slice(0, 2), slice(2, 4))]
    losses = [objective.losses(part, counts)["mlm"] for part in parts]
    losses[1].backward()
    assert losses[1].item() == 0
    assert sum(losses).item() == pytest.approx(objective.losses(batch, counts)["mlm"].item(), rel=1e-12)
