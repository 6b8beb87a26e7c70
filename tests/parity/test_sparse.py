"""LT-SFT's choice of parameters and its files agree with the reference exactly."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import AutoModelForTokenClassification

from bistil_ray.sparse.convert import decode_sparse, encode_sparse, numpy_integers, read_composable, write_composable
from bistil_ray.sparse.delta import SparseDelta, apply_delta, extract_delta
from bistil_ray.sparse.files import load_delta, save_delta
from bistil_ray.sparse.given import fit_delta, load_sft
from bistil_ray.sparse.select import select_changes, threshold_of

STUDENT = Path("bert") / "student_tc_lrf2_hrf1_copy" / "model.safetensors"
TOLERANCE = 1e-7  # the reference drops differences up to this when it saves
META = {"base_model": "s", "base_fingerprint": "f", "task": "ner", "density": 0.08, "method": "lt-sft"}


@pytest.fixture(scope="module")
def records(golden: Path) -> dict[str, Any]:
    """Every LT-SFT record by name."""
    return json.loads((golden / "ltsft" / "ltsft.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def original(golden: Path) -> dict[str, Tensor]:
    """The student's weights before training."""
    return load_file(golden / STUDENT)


def groups(records: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Every group of parameters with a choice of its own, with the name of its case."""
    found = [(case, group) for case, record in records.items() for group in record.get("groups", ())]
    assert found
    return found


def before_and_after(
    golden: Path, original: dict[str, Tensor], case: str, group: dict[str, Any]
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The weights of a group at its origin (the student, or zeros for pruning) and after full fine-tuning."""
    tuned = load_file(golden / "ltsft" / f"full_finetuned{'_ties' if case.startswith('ties') else ''}.safetensors")
    origin = {name: original[name] for name in group["names"]}
    if group["origin"] == "zeros":
        origin = {name: torch.zeros_like(tensor) for name, tensor in origin.items()}
    return origin, {name: tuned[name] for name in group["names"]}


def sft_folders(golden: Path) -> list[Path]:
    """Every folder with a file of composable-sft or BISTIL."""
    found = sorted(path.parent for path in (golden / "ltsft").rglob("pytorch_diff.bin"))
    assert found
    return found


def whole(delta: SparseDelta, name: str, like: Tensor) -> Tensor:
    """The differences of one parameter as a full tensor."""
    flat = torch.zeros(like.numel(), dtype=like.dtype)
    if name in delta.indices:
        flat[delta.indices[name]] = delta.values[name].to(like.dtype)
    return flat.view(like.shape)


def test_masks_equal_the_reference(golden: Path, records: dict[str, Any], original: dict[str, Tensor]) -> None:
    stored = load_file(golden / "ltsft" / "masks.safetensors")
    for case, group in groups(records):
        before, after = before_and_after(golden, original, case, group)
        masks = select_changes(before, after, count=group["nnz"])
        for name, mask in masks.items():
            assert torch.equal(mask, stored[f"{case}/{name}"].bool()), (case, name)
        assert {name: int(mask.sum()) for name, mask in masks.items()} == group["selected_per_param"]
        assert sum(int(mask.sum()) for mask in masks.values()) == group["selected"]


def test_a_density_gives_the_reference_number(
    golden: Path, records: dict[str, Any], original: dict[str, Tensor]
) -> None:
    for case, group in groups(records):
        if case.endswith(f"nnz{group['nnz']}"):
            continue  # asked for as a number; its density is that number divided
        before, after = before_and_after(golden, original, case, group)
        assert int(group["density"] * group["numel"]) == group["nnz"]
        by_density, by_count = (
            select_changes(before, after, group["density"]),
            select_changes(before, after, count=group["nnz"]),
        )
        assert all(torch.equal(by_density[name], by_count[name]) for name in before)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_thresholds_equal_the_reference(
    golden: Path, records: dict[str, Any], original: dict[str, Tensor], dtype: torch.dtype
) -> None:
    for case, group in groups(records):
        before, after = before_and_after(golden, original, case, group)
        changes = [(after[name] - before[name]).abs().reshape(-1).to(dtype) for name in before]
        found = threshold_of(lambda changes=changes: changes, group["nnz"], dtype)
        assert found.hex() == group["threshold_hex"], case
        assert sum(change.numel() for change in changes) == group["numel"]


def test_files_of_the_reference_are_decoded_exactly(golden: Path) -> None:
    for folder in sft_folders(golden):
        delta = read_composable(folder, META)
        if not (folder / "dense.safetensors").exists():
            continue
        for key, tensor in load_file(folder / "dense.safetensors").items():
            section, name = key.split("/", 1)
            found = delta.dense[name] if section == "abs" else whole(delta, name, tensor)
            assert torch.equal(found, tensor), (folder.name, key)


def test_numbers_of_entries_equal_the_reference(golden: Path, records: dict[str, Any]) -> None:
    for case, record in records.items():
        folder = golden / "ltsft" / f"sft_{case}"
        if "nnz_in_file" in record and folder.exists():
            delta = read_composable(folder, META)
            pruned = sum(int((tensor != 0).sum()) for name, tensor in delta.dense.items() if "classifier" not in name)
            assert delta.parameters + (pruned if record["n_diffs"] == 0 else 0) == record["nnz_in_file"], case
            assert len(delta.dense) == record["n_abs"]


def test_both_programs_files_hold_the_same(golden: Path) -> None:
    for folder in sft_folders(golden):
        other = folder.with_name(f"composable_{folder.name}")
        if other.exists():
            left, right = read_composable(folder, META), read_composable(other, META)
            assert left.shapes == right.shapes
            for part in ("indices", "values", "dense"):
                mine, theirs = getattr(left, part), getattr(right, part)
                assert mine.keys() == theirs.keys()
                assert all(torch.equal(mine[name], theirs[name]) for name in mine), part


def test_applying_gives_the_reference_model_bit_for_bit(
    golden: Path, original: dict[str, Tensor], tmp_path: Path
) -> None:
    for folder in sft_folders(golden):
        if not (folder / "after_apply.safetensors").exists():
            continue
        expected = load_file(folder / "after_apply.safetensors")
        imported = read_composable(folder, META)
        extracted = extract_delta(original, expected, imported.dense, META)
        save_delta(extracted, tmp_path / folder.name)
        for delta in (imported, extracted, load_delta(tmp_path / folder.name)):
            weights = {name: tensor.clone() for name, tensor in original.items()}
            apply_delta(weights, delta)
            assert all(torch.equal(weights[name], expected[name]) for name in expected), folder.name


def test_extraction_gives_the_entries_of_the_reference_file(golden: Path, original: dict[str, Tensor]) -> None:
    for folder in sft_folders(golden):
        if not (folder / "after_apply.safetensors").exists():
            continue
        imported = read_composable(folder, META)
        trained = load_file(folder / "after_apply.safetensors")
        extracted = extract_delta(original, trained, imported.dense, META, tolerance=TOLERANCE)
        assert extracted.indices.keys() == imported.indices.keys()
        for name, index in imported.indices.items():
            assert torch.equal(extracted.indices[name], index), name
            assert torch.equal(extracted.values[name].float(), imported.values[name]), name


def test_written_files_hold_what_the_reference_files_hold(golden: Path, tmp_path: Path) -> None:
    for folder in sft_folders(golden):
        delta = read_composable(folder, META)
        write_composable(delta, tmp_path)
        ours = torch.load(tmp_path / "pytorch_diff.bin", weights_only=True)
        with numpy_integers():
            theirs = torch.load(folder / "pytorch_diff.bin", weights_only=True)
        for name, encoding in ours["diffs"].items():
            assert encoding["size"] == theirs["diffs"][name]["size"]
            assert encoding["index_steps"] == theirs["diffs"][name]["index_steps"]
            assert torch.equal(encoding["values"], theirs["diffs"][name]["values"])
        assert all(not theirs["diffs"][name]["index_steps"] for name in theirs["diffs"].keys() - ours["diffs"].keys())


def test_encodings_equal_the_reference(records: dict[str, Any]) -> None:
    for name, example in records["encoding_examples"].items():
        tensor = torch.tensor(example["dense"])
        index = tensor.reshape(-1).nonzero().squeeze(1)
        encoding = encode_sparse(index, tensor.reshape(-1)[index], tuple(tensor.shape))
        assert list(encoding["size"]) == example["size"], name
        assert encoding["index_steps"] == example["index_steps"], name
        assert encoding["values"].tolist() == example["values"], name
        again, values, shape = decode_sparse(encoding, name)
        assert torch.equal(again, index)
        assert torch.equal(values, tensor.reshape(-1)[index])
        assert shape == tuple(tensor.shape)


def test_published_files_fit_the_model_they_are_of(golden: Path, original: dict[str, Tensor]) -> None:
    """Also under another prefix; a language's SFT changes the same encoder, and no head."""
    for folder in sft_folders(golden):
        expected = folder.with_name(folder.name.removeprefix("composable_")) / "after_apply.safetensors"
        if not expected.exists():
            continue
        trained = load_file(expected)
        for meta in (META, {"language": "en"}):
            model = AutoModelForTokenClassification.from_pretrained(golden / STUDENT.parent)
            given = load_sft(str(folder), "--sft", meta)
            bare = {name: name.removeprefix("bert.") for name in given.shapes}
            parts = ({bare[name]: part[name] for name in bare} for part in (given.indices, given.values, given.shapes))
            apply_delta(model, fit_delta(SparseDelta(*parts, given.dense, given.meta), model, str(folder)))
            for name, value in model.named_parameters():
                unchanged = "language" in meta and not name.startswith("bert.")
                assert torch.equal(value, original[name] if unchanged else trained[name]), (folder.name, name)
