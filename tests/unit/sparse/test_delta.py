"""An SFT gives back the trained weights, fits only what it is for, and survives its files."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from bistil_ray.errors import ModelError
from bistil_ray.sparse.delta import SparseDelta, apply_delta, extract_delta
from bistil_ray.sparse.files import load_delta, save_delta

META = {
    "base_model": "student",
    "base_fingerprint": "abc123",
    "task": "ner",
    "density": 0.08,
    "method": "lt-sft",
}


class Tagger(nn.Module):
    """Something with an encoder, whose matrix is used twice, and a head."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.embedding = nn.Parameter(torch.randn(7, 4, generator=generator))
        self.output = self.embedding
        self.bias = nn.Parameter(torch.randn(4, generator=generator))
        self.head = nn.Parameter(torch.randn(3, 4, generator=generator))


def weights(model: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in model.named_parameters()}


def trained() -> dict[str, Tensor]:
    """The weights of Tagger(0) with three entries and the head changed."""
    after = weights(Tagger(0))
    after["embedding"][2, 3] = 0.125
    after["embedding"][5, 0] *= -0.3
    after["bias"][1] = 0.0
    after["head"] += 1
    return after


def delta() -> SparseDelta:
    return extract_delta(weights(Tagger(0)), trained(), ["head"], META)


def same(left: SparseDelta, right: SparseDelta) -> bool:
    def equal(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
        return a.keys() == b.keys() and all(torch.equal(a[n], b[n]) and a[n].dtype == b[n].dtype for n in a)

    tensors = ("indices", "values", "dense")
    return (
        all(equal(getattr(left, part), getattr(right, part)) for part in tensors)
        and left.shapes == right.shapes
        and left.meta == right.meta
    )


def test_only_changed_entries_and_the_head_are_kept() -> None:
    found = delta()
    assert {name: index.tolist() for name, index in found.indices.items()} == {"embedding": [11, 20], "bias": [1]}
    assert found.shapes == {"embedding": (7, 4), "bias": (4,)}
    assert found.dense.keys() == {"head"}
    assert found.parameters == 3


def test_applying_gives_the_trained_weights_bit_for_bit() -> None:
    model = Tagger(0)
    apply_delta(model, delta())
    assert all(torch.equal(tensor, trained()[name]) for name, tensor in model.named_parameters())
    assert model.output is model.embedding
    assert all(tensor.requires_grad for tensor in model.parameters())


def test_a_state_dictionary_is_changed_in_place() -> None:
    state = weights(Tagger(0))
    tensors = dict(state)
    apply_delta(state, delta())
    assert all(state[name] is tensor and torch.equal(tensor, trained()[name]) for name, tensor in tensors.items())


def test_nothing_is_shared_with_the_model_or_the_weights() -> None:
    after = trained()
    kept = extract_delta(weights(Tagger(0)), after, ["head"], META)
    model = Tagger(0)
    apply_delta(model, kept)
    with torch.no_grad():
        for tensor in (*model.parameters(), *after.values()):
            tensor.fill_(9.0)
    assert same(kept, delta())


@settings(max_examples=60, deadline=None)
@given(data=st.data(), dtype=st.sampled_from([torch.float32, torch.float64, torch.bfloat16, torch.float16]))
def test_differences_restore_any_weights(data: st.DataObject, dtype: torch.dtype) -> None:
    numbers = st.lists(st.floats(-4, 4, width=16).filter(lambda x: x == 0 or abs(x) > 1e-4), min_size=6, max_size=6)
    scale = data.draw(st.sampled_from([1.0, 1e-3, 1 / 3]))
    before = {"w": torch.tensor(data.draw(numbers)).to(dtype) * 0.7}
    after = {"w": (before["w"].double() + scale * torch.tensor(data.draw(numbers))).to(dtype)}
    state = {"w": before["w"].clone()}
    apply_delta(state, extract_delta(before, after, [], META))
    assert torch.equal(state["w"], after["w"])


def test_a_weight_that_shrinks_to_almost_nothing_is_restored() -> None:
    before, after = {"w": torch.tensor([1.0, 2.0])}, {"w": torch.tensor([1.2345678e-7, 2.5])}
    kept = extract_delta(before, after, [], META)
    assert kept.values["w"].dtype == torch.float64
    apply_delta(before, kept)
    assert torch.equal(before["w"], after["w"])


def test_differences_of_two_sfts_add_up() -> None:
    base = {"w": torch.zeros(4)}
    first = extract_delta(base, {"w": torch.tensor([1.0, 0, 2, 0])}, [], META)
    second = extract_delta(base, {"w": torch.tensor([0.5, 3, 0, 0])}, [], META)
    apply_delta(base, first)
    apply_delta(base, second)
    assert base["w"].tolist() == [1.5, 3.0, 2.0, 0.0]


def test_changes_up_to_the_tolerance_are_left_out() -> None:
    before, after = {"w": torch.zeros(3)}, {"w": torch.tensor([1e-7, 2e-7, -1e-8])}
    assert extract_delta(before, after, [], META, tolerance=1e-7).indices["w"].tolist() == [1]
    assert extract_delta(before, after, [], META).indices["w"].tolist() == [0, 1, 2]


def test_transposed_weights_are_read_and_changed_row_by_row() -> None:
    before = {"w": torch.zeros(2, 3).T}
    after = {"w": torch.tensor([[0.0, 1.0], [0.0, 0.0], [2.0, 0.0]])}
    kept = extract_delta(before, after, [], META)
    assert kept.indices["w"].tolist() == [1, 4]
    apply_delta(before, kept)
    assert torch.equal(before["w"], after["w"])


def test_an_sft_for_another_model_changes_nothing() -> None:
    state = {name: tensor for name, tensor in weights(Tagger(0)).items() if name != "head"}
    before = {name: tensor.clone() for name, tensor in state.items()}
    with pytest.raises(ModelError, match="does not have: head"):
        apply_delta(state, delta())
    state["head"] = torch.zeros(2, 4)
    with pytest.raises(ModelError, match=r"head is \(2, 4\) in the base, but \(3, 4\) in the SFT"):
        apply_delta(state, delta())
    assert all(torch.equal(state[name], tensor) for name, tensor in before.items())


def test_unlike_weights_are_refused() -> None:
    before = weights(Tagger(0))
    with pytest.raises(ModelError, match="bias"):
        extract_delta({"embedding": before["embedding"], "head": before["head"]}, before, ["head"], META)
    with pytest.raises(ModelError, match="scorer"):
        extract_delta(before, before, ["scorer"], META)
    with pytest.raises(ModelError, match="bias is"):
        extract_delta(before, {**before, "bias": torch.zeros(5)}, ["head"], META)


def test_files_give_back_the_same_sft(tmp_path: Path) -> None:
    save_delta(delta(), tmp_path / "sft")
    assert sorted(path.name for path in (tmp_path / "sft").iterdir()) == ["sft.json", "sft.safetensors"]
    assert same(load_delta(tmp_path / "sft"), delta())
    known = json.loads((tmp_path / "sft" / "sft.json").read_text())
    assert {key: known[key] for key in META} == META
    assert known["parameters"] == 3
    tensors = load_file(tmp_path / "sft" / "sft.safetensors")
    assert tensors["indices/embedding"].dtype == torch.int64
    assert tensors["values/bias"].shape == (1,)
    assert "dense/head" in tensors


def test_an_sft_without_changes_is_kept_too(tmp_path: Path) -> None:
    same_weights = weights(Tagger(0))
    nothing = extract_delta(same_weights, same_weights, [], META)
    save_delta(nothing, tmp_path)
    loaded = load_delta(tmp_path)
    assert loaded.parameters == 0
    apply_delta(Tagger(0), loaded)


def test_saving_again_replaces_the_old_one(tmp_path: Path) -> None:
    save_delta(delta(), tmp_path)
    other = extract_delta(weights(Tagger(0)), weights(Tagger(1)), ["head"], {**META, "density": 1.0})
    save_delta(other, tmp_path)
    assert same(load_delta(tmp_path), other)


def test_a_language_sft_needs_no_task(tmp_path: Path) -> None:
    meta = {**{key: value for key, value in META.items() if key != "task"}, "language": "sw"}
    save_delta(replace(delta(), meta=meta), tmp_path)
    assert load_delta(tmp_path).meta == meta


@pytest.mark.parametrize("key", ["base_model", "base_fingerprint", "density", "method", "task"])
def test_an_sft_must_say_what_it_is(key: str, tmp_path: Path) -> None:
    meta = {name: value for name, value in META.items() if name != key}
    with pytest.raises(ModelError, match=key):
        save_delta(replace(delta(), meta=meta), tmp_path)
    assert not list(tmp_path.iterdir())


def test_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="sft.json"):
        load_delta(tmp_path)
    save_delta(delta(), tmp_path)
    (tmp_path / "sft.safetensors").unlink()
    with pytest.raises(ModelError, match="sft.safetensors is missing"):
        load_delta(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"format": "other", "version": 1}', "\xff"])
def test_a_foreign_description_is_refused(text: str, tmp_path: Path) -> None:
    save_delta(delta(), tmp_path)
    (tmp_path / "sft.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(ModelError, match="sft.json"):
        load_delta(tmp_path)


@pytest.mark.parametrize(
    ("key", "value"),
    [("version", 2), ("shapes", None), ("shapes", {"bias": 4}), ("sha256", None), ("density", None)],
)
def test_an_incomplete_description_is_refused(key: str, value: object, tmp_path: Path) -> None:
    save_delta(delta(), tmp_path)
    known = json.loads((tmp_path / "sft.json").read_text())
    known[key] = value
    if value is None:
        del known[key]
    (tmp_path / "sft.json").write_text(json.dumps(known))
    with pytest.raises(ModelError, match=key):
        load_delta(tmp_path)


def test_a_damaged_or_mixed_up_file_is_refused(tmp_path: Path) -> None:
    save_delta(delta(), tmp_path)
    whole = (tmp_path / "sft.safetensors").read_bytes()
    flipped = bytearray(whole)
    flipped[-1] ^= 1
    for damaged in (whole[:-5], b"", bytes(flipped)):
        (tmp_path / "sft.safetensors").write_bytes(damaged)
        with pytest.raises(ModelError, match="damaged"):
            load_delta(tmp_path)


BROKEN: dict[str, dict[str, Tensor]] = {
    "indices of bias": {"indices/bias": torch.tensor([4])},
    "indices of embedding are": {"indices/embedding": torch.tensor([20, 11])},
    "are not ascending": {"indices/embedding": torch.tensor([11, 11])},
    "from 0 to 27": {"indices/embedding": torch.tensor([-1, 11])},
    "64-bit index": {"indices/embedding": torch.tensor([11, 20], dtype=torch.int32)},
    "one 64-bit index per value": {"values/embedding": torch.zeros(3)},
    "no part of an SFT": {"other/bias": torch.zeros(1)},
    "together for scorer": {"indices/scorer": torch.tensor([1])},
}


@pytest.mark.parametrize("reason", BROKEN)
def test_tensors_that_do_not_fit_are_refused(reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_delta(delta(), tmp_path)
    file = tmp_path / "sft.safetensors"
    save_file({**load_file(file), **BROKEN[reason]}, file)
    known = json.loads((tmp_path / "sft.json").read_text())
    monkeypatch.setattr("bistil_ray.sparse.files._sha256", lambda _: known["sha256"])
    with pytest.raises(ModelError, match=reason):
        load_delta(tmp_path)
