"""No pickle that somebody else wrote is ever executed, wherever it lies."""

from __future__ import annotations

import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from bistil_ray.cli.main import main
from bistil_ray.errors import ModelError
from bistil_ray.models.heads import load_model, new_model
from bistil_ray.models.loading import load_masked_lm
from bistil_ray.sparse.given import load_sft
from bistil_ray.train.state import checkpoints, load_checkpoint, save_checkpoint


def pickled(content: Any, file: Path, form: str) -> None:
    """Write a pickle as torch does, in either of its forms, or bare."""
    if form == "bare":
        file.write_bytes(pickle.dumps(content, protocol=2))
    else:
        torch.save(content, file, _use_new_zipfile_serialization=form == "zip")


@pytest.fixture(params=["bare", "zip", "legacy"])
def write(request: pytest.FixtureRequest) -> Callable[[Any, Path], None]:
    """A function writing a pickle, in each form in turn."""
    return lambda content, file: pickled(content, file, request.param)


def test_a_trap_works(trap: Any) -> None:
    pickle.loads(pickle.dumps(trap)).close()
    assert trap.file.exists()


def test_weights_that_would_run_code(
    write: Callable[[Any, Path], None], trap: Any, bert_folder: Path, tmp_path: Path
) -> None:
    model = shutil.copytree(bert_folder, tmp_path / "model")
    (model / "model.safetensors").unlink()
    write({"bert.embeddings.word_embeddings.weight": trap}, model / "pytorch_model.bin")
    with pytest.raises(ModelError, match="cannot be read"):
        load_masked_lm(model)
    with pytest.raises(ModelError, match="cannot be read"):
        load_model("token-classification", model)
    with pytest.raises(Exception, match=r"(?i)weights|unpickl|load"):
        new_model("token-classification", model, ("O",), seed=0)
    assert not trap.file.exists()


def test_weights_in_parts_that_would_run_code(trap: Any, bert_folder: Path, tmp_path: Path) -> None:
    model = shutil.copytree(bert_folder, tmp_path / "model")
    (model / "model.safetensors").unlink()
    torch.save({"a": trap}, model / "pytorch_model-00001-of-00001.bin")
    (model / "pytorch_model.bin.index.json").write_text(
        '{"metadata": {"total_size": 1}, "weight_map": {"a": "pytorch_model-00001-of-00001.bin"}}'
    )
    with pytest.raises(ModelError, match="cannot be read"):
        load_masked_lm(model)
    assert not trap.file.exists()


def test_a_pickle_beside_safetensors_is_not_even_looked_at(trap: Any, bert_folder: Path, tmp_path: Path) -> None:
    model = shutil.copytree(bert_folder, tmp_path / "model")
    for name in ("pytorch_model.bin", "training_args.bin", "optimizer.pt", "tokenizer.pkl"):
        pickled(trap, model / name, "bare")
    load_masked_lm(model)
    assert not trap.file.exists()


def test_pickled_weights_of_plain_tensors_can_be_used(bert_folder: Path, tmp_path: Path) -> None:
    model = shutil.copytree(bert_folder, tmp_path / "model")
    weights = load_masked_lm(model).state_dict()
    (model / "model.safetensors").unlink()
    torch.save({name: value.clone() for name, value in weights.items()}, model / "pytorch_model.bin")
    again = load_masked_lm(model).state_dict()
    assert all(torch.equal(again[name], weights[name]) for name in weights)


def test_an_sft_that_would_run_code(write: Callable[[Any, Path], None], trap: Any, tmp_path: Path) -> None:
    write({"diffs": {"w": trap}, "abs": {}}, tmp_path / "pytorch_diff.bin")
    with pytest.raises(ModelError, match="is not read"):
        load_sft(str(tmp_path), "language_sfts", {})
    assert not trap.file.exists()


def test_a_checkpoint_that_would_run_code(write: Callable[[Any, Path], None], trap: Any, tmp_path: Path) -> None:
    model = torch.nn.Linear(2, 2)
    optimizer = torch.optim.AdamW(model.parameters())
    named = dict(model.named_parameters())
    save_checkpoint(tmp_path, 3, named, optimizer, {})
    (checkpoint,) = checkpoints(tmp_path)
    for name in ("state.safetensors", "state.json", "state.pkl", "optimizer.pt"):
        write(trap, checkpoint / name)
    assert load_checkpoint(tmp_path, named, optimizer) is None
    assert not trap.file.exists()


def test_the_folder_of_a_run_that_would_run_code(
    trap: Any, make_run: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = make_run(tmp_path, langs=["sw"], teachers=["big"])
    (run / "tune").mkdir()
    for folder in (run, run / "tune", *(run.parent / "steps").iterdir()):
        for name in ("tuner.pkl", "trainable.pkl", "searcher-state.pkl", "params.pkl", "kept.npy"):
            pickled(trap, folder / name, "bare")
    assert main(["results", str(run)]) == 0
    assert main(["dashboard", str(run), "--out", str(tmp_path / "report.html")]) == 0
    assert not trap.file.exists()


def test_a_configuration_that_would_run_code(trap: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine.yaml").write_text(f"name: !!python/object/apply:builtins.open [{trap.file}, w]\n")
    assert main(["configs", "validate", str(tmp_path / "mine.yaml")]) == 2
    assert main(["sweep", "--set", f"name=!!python/object/apply:builtins.open [{trap.file}, w]"]) == 2
    assert not trap.file.exists()
