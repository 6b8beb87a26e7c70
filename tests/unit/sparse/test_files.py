"""An SFT's file is never larger than the weights it changes: where indices would make it so, it has none."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from bistil_ray.errors import ModelError
from bistil_ray.sparse.delta import SparseDelta, apply_delta, extract_delta
from bistil_ray.sparse.files import WEIGHTS_FILE, load_delta, save_delta

META = {"base_model": "student", "base_fingerprint": "abc", "task": "ner", "density": 0.5, "method": "lt-sft"}
SIZE = 30_000


def tuned(share: float) -> tuple[dict[str, Tensor], dict[str, Tensor], SparseDelta]:
    """Weights of a matrix, a vector and a head before and after ``share`` of their entries changed, and the SFT."""
    generator = torch.Generator().manual_seed(1)
    before = {name: torch.randn(shape, generator=generator) for name, shape in {"w": (100, 300), "b": (40,)}.items()}
    after = {name: value.clone() for name, value in before.items()}
    for value in after.values():
        chosen = torch.rand(value.shape, generator=generator) < share
        value[chosen] += torch.randn(int(chosen.sum()), generator=generator)
    return before, after, extract_delta(before, after | {"head": torch.ones(3)}, ["head"], META)


@pytest.mark.parametrize(("share", "parts"), [(0.3, {"indices", "values", "dense"}), (0.4, {"differences", "dense"})])
def test_a_dense_sft_has_its_differences_whole(share: float, parts: set[str], tmp_path: Path) -> None:
    save_delta(tuned(share)[2], tmp_path)
    assert {key.partition("/")[0] for key in load_file(tmp_path / WEIGHTS_FILE)} == parts
    assert (tmp_path / WEIGHTS_FILE).stat().st_size < 1.01 * 4 * SIZE + 1_000


@pytest.mark.parametrize("share", [0.01, 0.3, 0.4, 0.9, 1.0])
def test_an_sft_of_any_density_is_read_as_it_was_written(share: float, tmp_path: Path) -> None:
    before, after, delta = tuned(share)
    save_delta(delta, tmp_path)
    read = load_delta(tmp_path)
    assert read.shapes == delta.shapes and read.meta == delta.meta
    for part in ("indices", "values", "dense"):
        found, expected = getattr(read, part), getattr(delta, part)
        assert found.keys() == expected.keys()
        assert all(torch.equal(found[n], expected[n]) and found[n].dtype == expected[n].dtype for n in found)
    weights = {**before, "head": torch.zeros(3)}
    apply_delta(weights, read)
    assert all(torch.equal(weights[name], after[name]) for name in after)


def test_differences_of_another_shape_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_delta(tuned(0.9)[2], tmp_path)
    tensors = load_file(tmp_path / WEIGHTS_FILE)
    save_file({**tensors, "differences/b": torch.ones(41)}, tmp_path / WEIGHTS_FILE)
    described = (tmp_path / "sft.json").read_text().partition('"sha256": "')[2][:64]
    monkeypatch.setattr("bistil_ray.sparse.files._sha256", lambda _: described)
    with pytest.raises(ModelError, match="the differences of b are not of the shape that sft.json says"):
        load_delta(tmp_path)
