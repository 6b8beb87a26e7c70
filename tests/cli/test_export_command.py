"""``bistil-ray export`` writes a whole folder or says in one line why it does not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from huggingface_hub import ModelCard

Bistil = Callable[..., tuple[int, str, str]]
Refused = Callable[..., str]


@pytest.fixture
def tagger(bert_folder: Path, tmp_path: Path) -> Path:
    """A tiny tagger for the labels of the toy data."""
    from bistil_ray.models.heads import new_model
    from bistil_ray.models.loading import load_tokenizer

    new_model("token-classification", bert_folder, ("B-LOC", "B-PER", "O"), seed=0).save_pretrained(tmp_path / "tagger")
    load_tokenizer(bert_folder).save_pretrained(tmp_path / "tagger")
    return tmp_path / "tagger"


def test_a_folder_for_the_hub_has_weights_tokenizer_and_card(
    bistil: Bistil, tagger: Path, toy_settings: dict[str, Any], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    scoring = ("--task-data", toy_settings["task_data"], "--langs", "sw", "--task", "ner")
    code, shown, err = bistil("export", str(tagger), "--out", str(out), "--licence", "cc-by-4.0", *scoring, "--json")
    assert code == 0 and f"Written to {out}" in err
    (form,) = json.loads(shown)
    assert form["name"] == "PyTorch" and form["scores"].keys() == {"sw"}
    assert {"model.safetensors", "config.json", "tokenizer.json", "README.md"} <= {file.name for file in out.iterdir()}
    assert ModelCard.load(out / "README.md").data.license == "cc-by-4.0"
    assert bistil("evaluate", str(out), *scoring)[0] == 0


def test_labels_of_data_are_renamed_for_scoring(
    bistil: Bistil, tagger: Path, toy_settings: dict[str, Any], tmp_path: Path
) -> None:
    test = Path(toy_settings["task_data"]) / "sw" / "test.parquet"
    pq.write_table(pa.table({"tokens": [["Amina", "Jumatatu"]], "ner_tags": [["B-PER", "B-DATE"]]}), test)
    scoring = ("--task-data", toy_settings["task_data"], "--langs", "sw", "--task", "ner")
    for command in (("evaluate", str(tagger)), ("export", str(tagger), "--out", str(tmp_path / "out"))):
        code, _, err = bistil(*command, *scoring)
        assert code == 2 and "(of evaluate and export: --label-map DATE=O)" in err
        assert bistil(*command, *scoring, "--label-map", "DATE=O")[0] == 0


def test_a_phase_1_student_is_exported_too(bistil: Bistil, bert_folder: Path, tmp_path: Path) -> None:
    code, shown, _ = bistil("export", str(bert_folder), "--out", str(tmp_path / "out"))
    assert code == 0 and [line.split()[0] for line in shown.splitlines()] == ["form", "PyTorch"]


def test_a_folder_is_pushed_after_it_is_written(
    bistil: Bistil, tagger: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pushed: list[tuple[list[str], str]] = []

    def push(folder: Path, name: str) -> str:
        pushed.append((sorted(file.name for file in folder.iterdir()), name))
        return f"https://hub/{name}"

    monkeypatch.setattr("bistil_ray.export.publish.get_token", lambda: "hf_secret")
    monkeypatch.setattr("bistil_ray.export.publish.push", push)
    code, shown, err = bistil("export", str(tagger), "--out", str(tmp_path / "out"), "--push", "me/mine")
    assert code == 0 and "https://hub/me/mine" in err and "hf_secret" not in shown + err
    assert pushed == [(sorted(file.name for file in (tmp_path / "out").iterdir()), "me/mine")]
    assert 'model="me/mine"' in (tmp_path / "out" / "README.md").read_text()


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (("--format", "tflite"), "--format is 'tflite'; allowed: hf, onnx, onnx-int8"),
        (("--push", "mine"), "--push 'mine' names no owner"),
        (("--langs", "sw"), "give --task-data, too"),
        (("--task-data", "{task_data}"), "needs --langs and --task"),
        (("--task-data", "{task_data}", "--langs", "sw", "--task", "chess"), "--task 'chess'"),
        (("--task-data", "{task_data}", "--langs", "sw", "--task", "qa"), "needs a model for question-answering"),
        (("--task-data", "{task_data}", "--langs", "ha", "--task", "ner"), "no test data for 'ha'"),
    ],
)
def test_mistakes_are_told_before_anything_is_written(
    refused: Refused, tagger: Path, toy_settings: dict[str, Any], tmp_path: Path, flags: tuple[str, ...], says: str
) -> None:
    words = tuple(word.format(**toy_settings) for word in flags)
    assert says in refused(command=("export", str(tagger), "--out", str(tmp_path / "out"), *words))
    assert not (tmp_path / "out").exists()


def test_missing_packages_are_named(
    refused: Refused, tagger: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bistil_ray.export.session.find_spec", lambda name: None if name == "onnxruntime" else name)
    says = refused(command=("export", str(tagger), "--format", "onnx", "--out", str(tmp_path / "out")))
    assert "--format onnx needs onnxruntime: pip install 'bistil-ray[export]'" in says


def test_an_output_that_exists_is_not_touched(refused: Refused, tagger: Path) -> None:
    assert "exists already" in refused(command=("export", str(tagger), "--out", str(tagger)))
