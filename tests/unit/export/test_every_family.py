"""Every family of encoders becomes an ONNX graph and an int8 one that compute what it does, each with another head."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoConfig, PreTrainedModel

from bistil_ray.data.batches import Features, pad_batch
from bistil_ray.export.graph import write_onnx
from bistil_ray.export.likeness import largest_difference
from bistil_ray.export.quantise import quantise
from bistil_ray.export.session import OnnxModel
from bistil_ray.models.families import FAMILIES
from bistil_ray.models.heads import model_inputs
from bistil_ray.models.parser import PARSERS

ROWS, PAD = 40, 1
SHAPE = {
    "vocab_size": ROWS, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24,
    "max_position_embeddings": 40, "initializer_range": 0.3, "num_labels": 2, "pad_token_id": PAD,
}  # fmt: skip
# What the published models of a family have that its default configuration lacks.
SETTINGS: dict[str, dict[str, object]] = {
    "deberta-v2": {"relative_attention": True, "pos_att_type": ["p2c", "c2p"], "position_buckets": 4},
    "modernbert": {"local_attention": 4, "cls_token_id": 2, "sep_token_id": 3, "bos_token_id": 2, "eos_token_id": 3},
}
HEADS = {
    "bert": "sequence-classification",
    "roberta": "question-answering",
    "xlm-roberta": "token-classification",
    "distilbert": "masked-lm",
    "electra": "sequence-classification",
    "deberta-v2": "dependency-parsing",
    "modernbert": "token-classification",
}


def tiny(family: str, head: str) -> PreTrainedModel:
    config = AutoConfig.for_model(family, **SHAPE | SETTINGS.get(family, {}))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        if head == "dependency-parsing":
            kind = PARSERS[family].config_class
            model = PARSERS[family](kind.from_dict({**config.to_dict(), "model_type": kind.model_type}))
        else:
            model = FAMILIES[family].head_class(head)(config)
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.3)
    return model.eval()


def features() -> list[Features]:
    generator = torch.Generator().manual_seed(0)
    return [
        {
            "input_ids": torch.randint(4, ROWS, (length,), generator=generator).tolist(),
            "token_type_ids": [0] * 3 + [1] * (length - 3),
            "word_starts": list(range(1, length)),
        }
        for length in (5, 30, 12)
    ]


def test_all_families_have_their_turn() -> None:
    assert HEADS.keys() == FAMILIES.keys()


@pytest.mark.slow
@pytest.mark.parametrize("family", HEADS)
def test_a_graph_computes_what_the_model_does(family: str, tmp_path: Path) -> None:
    model, rows = tiny(family, HEADS[family]), features()
    write_onnx(model, model_inputs(model, pad_batch(rows, PAD)), tmp_path / "exact.onnx")
    quantise(tmp_path / "exact.onnx", tmp_path / "small.onnx")
    exact, small = (OnnxModel(tmp_path / f"{name}.onnx", model.config) for name in ("exact", "small"))
    assert largest_difference(model, exact, rows, PAD) < 1e-4
    assert 1e-4 < largest_difference(model, small, rows, PAD) < 1
