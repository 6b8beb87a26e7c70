"""What a student of many teachers minimises: each term over the count of the whole batch, each with its weight."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor
from transformers import AutoModelForMaskedLM, PreTrainedModel

from bistil_ray.data.masking import IGNORED
from bistil_ray.losses.topk import top_k_divergence
from bistil_ray.train.merging import Merging

B, T, K = 4, 10, 3


@pytest.fixture(scope="module")
def model(bert_folder: Path) -> PreTrainedModel:
    return AutoModelForMaskedLM.from_pretrained(bert_folder).double().eval()


@pytest.fixture(scope="module")
def batch(model: PreTrainedModel) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(5, model.config.vocab_size, (B, T), generator=generator)
    chosen = torch.rand(B, T, generator=generator) < 0.4
    chosen[1] = False
    known = torch.randn(B, T, model.config.vocab_size, generator=generator, dtype=torch.float64).log_softmax(2).topk(K)
    return {
        "input_ids": ids.masked_fill(chosen, 4),
        "attention_mask": torch.ones_like(ids),
        "labels": ids.masked_fill(~chosen, IGNORED),
        "teacher_ids": known.indices,
        "teacher_log_probabilities": known.values,
    }


@pytest.mark.parametrize("rest", [False, True])
def test_the_terms_are_the_mix_that_is_asked_for(model: PreTrainedModel, batch: dict[str, Tensor], rest: bool) -> None:
    objective = Merging(model, mlm_weight=0.3, rest=rest)
    chosen = batch["labels"] != IGNORED
    counts = objective.counts(batch)
    assert counts == {"mlm": chosen.sum(), "kl": chosen.sum()}
    losses = objective.losses(batch, counts)
    logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits[chosen]
    entropy = -logits.log_softmax(1)[torch.arange(len(logits)), batch["labels"][chosen]].mean()
    known = batch["teacher_ids"][chosen], batch["teacher_log_probabilities"][chosen]
    assert torch.allclose(losses["mlm"], 0.3 * entropy, rtol=1e-9)
    assert torch.allclose(losses["kl"], 0.7 * top_k_divergence(logits, *known, rest), rtol=1e-9)


def test_micro_batches_add_up_to_the_batch(model: PreTrainedModel, batch: dict[str, Tensor]) -> None:
    objective = Merging(model, mlm_weight=0.5)
    counts = objective.counts(batch)
    whole = objective.losses(batch, counts)
    for size in (1, 3):
        parts = [{name: values[start : start + size] for name, values in batch.items()} for start in range(0, B, size)]
        for name, value in whole.items():
            assert torch.allclose(sum(objective.losses(part, counts)[name] for part in parts), value, rtol=1e-9)


@pytest.mark.parametrize(("weight", "terms"), [(0.0, {"kl"}), (1.0, {"mlm"})])
def test_a_term_without_weight_is_not_there(
    model: PreTrainedModel, batch: dict[str, Tensor], weight: float, terms: set[str]
) -> None:
    objective = Merging(model, mlm_weight=weight)
    counts = objective.counts(batch)
    assert counts.keys() == objective.losses(batch, counts).keys() == terms
