"""composable-sft's files are read and written in their own layout, and never run."""

from __future__ import annotations

import io
import pickle
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bistil_ray.errors import ModelError
from bistil_ray.sparse.convert import decode_sparse, encode_sparse, read_composable, write_composable
from bistil_ray.sparse.delta import SparseDelta

META = {"base_model": "m", "base_fingerprint": "f", "language": "sw", "density": 0.1, "method": "lt-sft"}


def sparse(tensor: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, tuple[int, ...]]:
    """Row-major indices, values and shape of what is not zero."""
    index = tensor.reshape(-1).nonzero().squeeze(1)
    return index, tensor.reshape(-1)[index], tuple(tensor.shape)


def encoded(tensor: torch.Tensor) -> dict[str, Any]:
    return encode_sparse(*sparse(tensor))


def as_saved_by_others(tensor: torch.Tensor) -> dict[str, Any]:
    """The same with a numpy integer at the head of the steps."""
    encoding = encoded(tensor)
    if encoding["index_steps"]:
        encoding["index_steps"][0] = np.int64(encoding["index_steps"][0])
    return encoding


def save(content: object, tmp_path: Path) -> Path:
    torch.save(content, tmp_path / "pytorch_diff.bin")
    return tmp_path


def test_the_first_axis_runs_fastest() -> None:
    matrix = torch.tensor([[0.0, 5.0, 0.0], [7.0, 0.0, 9.0]])
    encoding = encoded(matrix)
    assert encoding["size"] == torch.Size([2, 3])
    assert encoding["index_steps"] == [1, 1, 3]
    assert encoding["values"].tolist() == [7.0, 5.0, 9.0]


@settings(max_examples=60, deadline=None)
@given(data=st.data(), shape=st.lists(st.integers(1, 4), max_size=4))
def test_decoding_undoes_encoding(data: st.DataObject, shape: list[int]) -> None:
    size = int(np.prod(shape))
    values = data.draw(st.lists(st.sampled_from([0.0, 1.5, -2.0, 3.25]), min_size=size, max_size=size))
    index, value, dims = sparse(torch.tensor(values).view(shape))
    again = decode_sparse(encode_sparse(index, value, dims), "w")
    assert torch.equal(again[0], index)
    assert torch.equal(again[1], value)
    assert again[2] == dims


def test_large_tables_are_decoded_with_64_bits() -> None:
    steps = [5, 2**31, 2**31]
    encoding = {"size": torch.Size([3 * 2**31, 1]), "index_steps": steps, "values": torch.ones(3)}
    assert decode_sparse(encoding, "w")[0].tolist() == [5, 5 + 2**31, 5 + 2**32]


def test_files_of_others_are_read(tmp_path: Path) -> None:
    change = torch.zeros(4, 3)
    change[1, 2], change[3, 0] = 0.5, -1.0
    head = torch.nn.Parameter(torch.randn(2, 3))
    content = {
        "diffs": {"encoder": as_saved_by_others(change), "same": as_saved_by_others(torch.zeros(5))},
        "abs": {"head": head, "pruned": as_saved_by_others(change)},
        "block_sparses": {},
    }
    delta = read_composable(save(content, tmp_path), META)
    assert delta.indices["encoder"].tolist() == [5, 9]
    assert delta.values["encoder"].tolist() == [0.5, -1.0]
    assert delta.shapes == {"encoder": (4, 3)}
    assert torch.equal(delta.dense["head"], head.detach())
    assert torch.equal(delta.dense["pruned"], change)
    assert delta.meta == META


def test_dense_differences_are_read_as_sparse_ones(tmp_path: Path) -> None:
    folder = save({"diffs": {"bias": torch.tensor([0.0, 2.0, 0.0])}, "abs": {}}, tmp_path)
    assert read_composable(folder, META).indices["bias"].tolist() == [1]


def test_integers_written_by_older_numpy_and_of_32_bits_are_read(tmp_path: Path) -> None:
    encoding = as_saved_by_others(torch.tensor([0.0, 0.0, 3.0]))
    encoding["index_steps"] = [np.int32(2)]
    file = save({"diffs": {"bias": encoding}, "abs": {}}, tmp_path) / "pytorch_diff.bin"
    file.write_bytes(rename_in_zip(file, b"numpy._core.multiarray", b"numpy.core.multiarray"))
    assert read_composable(file, META).indices["bias"].tolist() == [2]


def rename_in_zip(file: Path, old: bytes, new: bytes) -> bytes:
    """Replace a module name inside the pickle of a torch file."""
    target = io.BytesIO()
    with zipfile.ZipFile(file) as source, zipfile.ZipFile(target, "w") as copy:
        for name in source.namelist():
            content = source.read(name)
            assert old in content or not name.endswith("data.pkl")
            copy.writestr(name, content.replace(old, new))
    return target.getvalue()


def test_an_empty_sft_is_read(tmp_path: Path) -> None:
    delta = read_composable(save({"diffs": {}, "abs": {}}, tmp_path), META)
    assert delta.parameters == 0


def test_written_files_are_read_back_and_need_no_numpy(tmp_path: Path) -> None:
    index, values, shape = sparse(torch.tensor([[0.0, 1.0], [2.0, 0.0]]))
    delta = SparseDelta({"w": index}, {"w": values.double()}, {"w": shape}, {"head": torch.ones(2)}, META)
    write_composable(delta, tmp_path)
    plain = torch.load(tmp_path / "pytorch_diff.bin", weights_only=True)
    assert plain["diffs"]["w"]["values"].dtype == torch.float32
    again = read_composable(tmp_path, META)
    assert torch.equal(again.indices["w"], index)
    assert torch.equal(again.values["w"], values)
    assert torch.equal(again.dense["head"], delta.dense["head"])


class RunsCode:
    """A pickle of this would make a folder when loaded."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return subprocess.call, (["mkdir", str(self.folder)],)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_file_that_would_run_code_is_refused_and_not_run(zipped: bool, tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    content = {"diffs": {"w": RunsCode(trap)}, "abs": {}}
    file = tmp_path / "pytorch_diff.bin"
    torch.save(content, file, _use_new_zipfile_serialization=zipped)
    with pytest.raises(ModelError, match="call, which is no part of an SFT"):
        read_composable(file, META)
    assert not trap.exists()


def test_a_bare_pickle_that_would_run_code_is_refused(tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    file = tmp_path / "pytorch_diff.bin"
    file.write_bytes(pickle.dumps({"diffs": RunsCode(trap)}, protocol=2))
    with pytest.raises(ModelError, match="is not read"):
        read_composable(file, META)
    assert not trap.exists()


@pytest.mark.parametrize("value", [np.float64(1.5), np.array([1, 2]), np.dtype("O"), np.str_("x")])
def test_of_numpy_nothing_but_integers_is_let_in(value: object, tmp_path: Path) -> None:
    folder = save({"diffs": {"w": value}, "abs": {}}, tmp_path)
    with pytest.raises(ModelError, match="is not read"):
        read_composable(folder, META)


def test_reading_leaves_the_process_as_strict_as_before(tmp_path: Path) -> None:
    folder = save({"diffs": {"w": as_saved_by_others(torch.ones(2))}, "abs": {}}, tmp_path)
    read_composable(folder, META)
    with pytest.raises(pickle.UnpicklingError):
        torch.load(folder / "pytorch_diff.bin", weights_only=True)


@pytest.mark.parametrize("content", [b"", b"not a file of weights", b"PK\x03\x04" + b"\0" * 40])
def test_a_damaged_file_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "pytorch_diff.bin").write_bytes(content)
    with pytest.raises(ModelError, match="damaged or not a composable-sft file"):
        read_composable(tmp_path, META)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="pytorch_diff.bin"):
        read_composable(tmp_path / "pytorch_diff.bin", META)


@pytest.mark.parametrize(
    "content",
    [
        [1, 2],
        {"abs": {}},
        {"diffs": {}, "abs": {}, "more": {}},
        {"diffs": [1], "abs": {}},
        {"diffs": {3: torch.ones(1)}, "abs": {}},
    ],
)
def test_a_file_of_another_form_is_refused(content: object, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="not a composable-sft file"):
        read_composable(save(content, tmp_path), META)


def test_block_sparse_parameters_are_refused(tmp_path: Path) -> None:
    folder = save({"diffs": {}, "abs": {}, "block_sparses": {"w": torch.ones(1)}}, tmp_path)
    with pytest.raises(ModelError, match="block-sparse"):
        read_composable(folder, META)


GOOD = {"size": torch.Size([2, 2]), "index_steps": [1, 2], "values": torch.ones(2)}


@pytest.mark.parametrize(
    "change",
    [
        {"index_steps": [1]},
        {"index_steps": [1, -1]},
        {"index_steps": [1, 0]},
        {"index_steps": [1, 3]},
        {"index_steps": [2**62, 2**62]},
        {"index_steps": [1, 2**63]},
        {"index_steps": [1, 1.0]},
        {"index_steps": torch.tensor([1, 2])},
        {"size": [2, 2]},
        {"values": torch.ones(2, 1)},
        {"values": [1.0, 2.0]},
        {"values": torch.tensor([1, 2])},
        {"values": None},
    ],
)
@pytest.mark.parametrize("section", ["diffs", "abs"])
def test_encodings_that_do_not_fit_are_refused_by_name(section: str, change: dict[str, Any], tmp_path: Path) -> None:
    content = {"diffs": {}, "abs": {}, section: {"layer.weight": {**GOOD, **change}}}
    with pytest.raises(ModelError, match="layer.weight"):
        read_composable(save(content, tmp_path), META)
