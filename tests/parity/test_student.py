"""Students and cut vocabularies against those of the published code, bit for bit."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from bistil_ray.models.student import build_student, cut_vocabulary
from tests.parity.golden_models import load

STUDENT = re.compile(r"student_(?P<head>[a-z]+)_lrf(?P<factor>\d+)_hrf1_copy(?P<bottom>_bottom)?")
# The weights that were changed after copying in the students with task heads.
PERTURBED = re.compile(r".*(\.bias|LayerNorm\.weight)")


def test_copied_students(golden: Path) -> None:
    folders = sorted(folder for folder in golden.glob("*/student_*") if STUDENT.fullmatch(folder.name))
    if not folders:
        pytest.skip(f"no copied students of full width in {golden}")
    for folder in folders:
        kind = STUDENT.fullmatch(folder.name)
        assert kind is not None
        teacher = load(folder.parent / f"teacher_{kind['head']}", kind["head"])
        layers = teacher.config.num_hidden_layers
        factor = int(kind["factor"])
        mapping = range(layers // factor) if kind["bottom"] else range(factor - 1, layers, factor)
        ours = build_student(teacher, mapping)
        theirs = load(folder, kind["head"])
        assert type(ours) is type(theirs)
        for key in (
            "num_hidden_layers",
            "hidden_dropout_prob",
            "attention_probs_dropout_prob",
            "hidden_size",
        ):
            assert getattr(ours.config, key) == getattr(theirs.config, key), f"{folder}: {key}"
        expected: dict[str, Tensor] = theirs.state_dict()
        assert ours.state_dict().keys() == expected.keys()
        for name, value in ours.state_dict().items():
            if kind["head"] in ("tc", "sc", "qa") and PERTURBED.fullmatch(name):
                continue
            assert torch.equal(value, expected[name]), f"{folder}: {name}"


def test_cut_vocabularies(golden: Path) -> None:
    folder = golden / "trim"
    if not (folder / "trim.json").exists():
        pytest.skip(f"no {folder / 'trim.json'}")
    records = json.loads((folder / "trim.json").read_text())
    stored = load_file(folder / "trimmed_embeddings.safetensors")
    for name in sorted({key.rsplit("/", 1)[0] for key in stored}):
        model = load(golden / name.split("/")[0] / "teacher_mlm", "mlm")
        cut_vocabulary(model, np.array(records[name]["kept_ids"]))
        embedding, output = model.get_input_embeddings(), model.get_output_embeddings()
        assert model.config.vocab_size == records[name]["n_kept"]
        assert torch.equal(embedding.weight, stored[f"{name}/word_embeddings"])
        assert torch.equal(output.weight, stored[f"{name}/word_embeddings"])
        assert torch.equal(output.bias, stored[f"{name}/lm_bias"])
