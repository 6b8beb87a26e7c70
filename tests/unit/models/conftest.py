"""Tiny models of each family, made in memory."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from transformers import AutoConfig, PreTrainedModel

from bistil_ray.models.families import FAMILIES

MakeModel = Callable[..., PreTrainedModel]
ROWS, LENGTH = 30, 7
# What the published models of a family have that its default configuration lacks, and sizes that go by other names.
SETTINGS: dict[str, dict[str, object]] = {
    "distilbert": {"hidden_dim": 20},
    "electra": {"embedding_size": 6},
    "deberta-v2": {
        "relative_attention": True,
        "pos_att_type": ["p2c", "c2p"],
        "position_biased_input": False,
        "position_buckets": 4,
        "norm_rel_ebd": "layer_norm",
        "share_att_key": True,
    },
    "modernbert": {
        "local_attention": 4,
        "pad_token_id": 1,
        "bos_token_id": 2,
        "eos_token_id": 3,
        "cls_token_id": 2,
        "sep_token_id": 3,
    },
}


@pytest.fixture(params=sorted(FAMILIES))
def family_name(request: pytest.FixtureRequest) -> str:
    """Each supported family in turn."""
    return request.param


@pytest.fixture
def make_model() -> MakeModel:
    """A function making a tiny model: ``make_model("bert", "masked-lm", num_hidden_layers=6)``."""

    def make(name: str, head: str = "masked-lm", **settings: object) -> PreTrainedModel:
        shape = {
            "vocab_size": ROWS,
            "hidden_size": 12,
            "num_hidden_layers": 4,
            "num_attention_heads": 3,
            "intermediate_size": 20,
            "max_position_embeddings": 16,
            "initializer_range": 0.3,
            "num_labels": 2,
        }
        config = AutoConfig.for_model(name, **shape | SETTINGS.get(name, {}) | settings)
        with torch.random.fork_rng():
            torch.manual_seed(0)
            model = FAMILIES[name].head_class(head)(config)
            with torch.no_grad():
                for parameter in model.parameters():  # biases and LayerNorms start out all alike
                    parameter.add_(torch.randn_like(parameter), alpha=0.1)
        return model.eval()

    return make


@pytest.fixture
def inputs() -> dict[str, torch.Tensor]:
    """A batch with padding at the end of two of its three rows; id 1 is no token of the texts, and RoBERTa's pad id."""
    ids = torch.randint(2, ROWS, (3, LENGTH), generator=torch.Generator().manual_seed(1))
    mask = torch.ones_like(ids)
    mask[1, 4:] = mask[2, 2:] = 0
    return {"input_ids": ids.masked_fill(mask == 0, 1), "attention_mask": mask}
