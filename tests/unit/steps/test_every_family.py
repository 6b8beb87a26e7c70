"""Teachers of every family go the whole way: trimmed, distilled, tuned, scored, loaded again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForMaskedLM, AutoTokenizer, PreTrainedTokenizerFast

from bistil_ray.config_sources import load_config
from bistil_ray.inputs import gather_facts
from bistil_ray.planning.plan import make_plan
from bistil_ray.results.records import Record
from bistil_ray.steps.local import run_here

# Per family, which of the tokenizers it has and what its models have that a default configuration lacks.
FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "distilbert": ("bert_folder", {"hidden_dim": 64}),
    "electra": ("bert_folder", {"embedding_size": 16}),
    "deberta-v2": (
        "xlmr_folder",
        {
            "relative_attention": True,
            "pos_att_type": ["p2c", "c2p"],
            "position_biased_input": False,
            "position_buckets": 8,
            "norm_rel_ebd": "layer_norm",
            "share_att_key": True,
        },
    ),
    "modernbert": ("xlmr_folder", {"local_attention": 8, "global_attn_every_n_layers": 2}),
}


@pytest.fixture
def make_teacher(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[str], Path]:
    """A function saving a tiny masked language model of a family with a tokenizer."""

    def make(family: str) -> Path:
        fixture, settings = FAMILIES[family]
        tokenizer = AutoTokenizer.from_pretrained(request.getfixturevalue(fixture))
        plain = PreTrainedTokenizerFast(
            tokenizer_object=tokenizer.backend_tokenizer,
            **{
                role: getattr(tokenizer, role)
                for role in ("pad_token", "mask_token", "unk_token", "cls_token", "sep_token")
            },
        )
        shape = {"vocab_size": len(tokenizer) + (family == "deberta-v2") * 5, "hidden_size": 32, "num_hidden_layers": 4}
        shape |= {"num_attention_heads": 4, "intermediate_size": 64, "max_position_embeddings": 64}
        special = {f"{role}_token_id": getattr(plain, f"{role}_token_id") for role in ("pad", "cls", "sep")}
        special |= {"bos_token_id": plain.cls_token_id, "eos_token_id": plain.sep_token_id, "initializer_range": 0.2}
        config = AutoConfig.for_model(family, **shape, **special, **settings)
        with torch.random.fork_rng():
            torch.manual_seed(0)
            AutoModelForMaskedLM.from_config(config).save_pretrained(tmp_path / family)
        plain.save_pretrained(tmp_path / family)
        return tmp_path / family

    return make


@pytest.mark.parametrize("family", FAMILIES)
def test_a_teacher_goes_the_whole_way(
    family: str, make_teacher: Callable[[str], Path], tiny_settings: dict[str, Any], tmp_path: Path
) -> None:
    config = load_config(None, ("distil.steps=20",), {"teachers": [str(make_teacher(family))]}, tiny_settings)
    plan = make_plan(config, gather_facts(config))
    results = run_here(plan, tmp_path / "steps")
    keys = {step.kind: step.key for step in plan}
    metrics = (tmp_path / "steps" / keys["distil"] / "metrics.jsonl").read_text().splitlines()
    losses = [line["loss"] for line in map(json.loads, metrics) if "loss" in line]
    assert sum(losses[-4:]) < 0.9 * sum(losses[:4])
    teacher, student = (Record.model_validate(results[keys[kind]]["record"]) for kind in ("evaluate", "finetune"))
    assert student.params < teacher.params and student.vocab_size < teacher.vocab_size
    folder = tmp_path / "steps" / keys["distil"] / "student"
    model, tokenizer = AutoModelForMaskedLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    assert (model.config.model_type, model.config.num_hidden_layers) == (family, 2)
    batch = tokenizer(["Amina alitoka Mombasa na kaka yake."], return_tensors="pt")
    inputs = {name: batch[name] for name in ("input_ids", "attention_mask")}
    assert torch.isfinite(model(**inputs).logits).all()
