"""Files that cannot be used end a sweep before it starts: exit code 2, one line with the path, nothing written."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

Bistil = Callable[..., tuple[int, str, str]]
Refused = Callable[..., str]


def write(file: Path, **columns: Any) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), file)


def corpus_is_missing(file: Path) -> None:
    file.unlink()


def corpus_is_empty(file: Path) -> None:
    write(file, text=pa.array([], pa.string()))


def corpus_is_of_nulls(file: Path) -> None:
    write(file, text=pa.array([None, None], pa.string()))


def corpus_has_another_column(file: Path) -> None:
    write(file, body=["Habari"])


def corpus_holds_numbers(file: Path) -> None:
    write(file, text=[1, 2])


def file_is_truncated(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-20])


def file_is_of_no_bytes(file: Path) -> None:
    file.write_bytes(b"")


def file_is_not_parquet(file: Path) -> None:
    file.write_text("Habari ya leo\n" * 9)


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (corpus_is_missing, "no corpus for language 'sw': neither {file} nor"),
        (corpus_is_empty, "{file} has no rows (--corpora)"),
        (corpus_is_of_nulls, "{file} has no text in column 'text': all rows are null"),
        (corpus_has_another_column, "{file} has no column 'text' but body (--set text_column)"),
        (corpus_holds_numbers, "column 'text' of {file} holds int64, but must hold strings"),
        (file_is_truncated, "{file} is not a Parquet file, or is truncated"),
        (file_is_of_no_bytes, "{file} is not a Parquet file, or is truncated"),
        (file_is_not_parquet, "{file} is not a Parquet file, or is truncated"),
    ],
)
def test_a_corpus_that_cannot_be_used(
    refused: Refused, tmp_path: Path, damage: Callable[[Path], None], says: str
) -> None:
    file = tmp_path / "corpora" / "sw.parquet"
    damage(file)
    assert says.format(file=file) in refused()


def test_a_column_of_texts_that_is_nowhere(refused: Refused) -> None:
    assert "has no column 'body' but text (--set text_column)" in refused("--set", "text_column=body")


def labels_are_missing(file: Path) -> None:
    file.unlink()


def labels_are_empty(file: Path) -> None:
    kind = pa.list_(pa.string())
    write(file, tokens=pa.array([], kind), ner_tags=pa.array([], kind))


def labels_have_another_column(file: Path) -> None:
    write(file, tokens=[["Amina"]], tags=[["B-PER"]])


def labels_are_numbers(file: Path) -> None:
    write(file, tokens=[["Amina"]], ner_tags=[[1]])


def labels_are_too_few(file: Path) -> None:
    write(file, tokens=[["Amina", "Juma"]], ner_tags=[["B-PER"]])


def labels_are_not_iob(file: Path) -> None:
    write(file, tokens=[["Amina"]], ner_tags=[["PER"]])


def labels_are_others(file: Path) -> None:
    write(file, tokens=[["Jumatatu"]], ner_tags=[["B-DATE"]])


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (labels_are_missing, "no test data for 'sw': {file} does not exist"),
        (labels_are_empty, "{file} has no usable rows"),
        (labels_have_another_column, "{file} has no column 'ner_tags' but tokens, tags"),
        (labels_are_numbers, "column 'ner_tags' of {file} holds list<element: int64>, but must hold lists of strings"),
        (labels_are_too_few, "{file}, row 0, has 2 tokens but 1 ner_tags"),
        (labels_are_not_iob, "{file}, row 0, has the tag 'PER', which is not IOB2"),
        (labels_are_others, "{file} has the label 'B-DATE'"),
        (file_is_truncated, "{file} is not a Parquet file, or is truncated"),
        (file_is_of_no_bytes, "{file} is not a Parquet file, or is truncated"),
        (file_is_not_parquet, "{file} is not a Parquet file, or is truncated"),
    ],
)
def test_task_data_that_cannot_be_used(
    refused: Refused, tmp_path: Path, damage: Callable[[Path], None], says: str
) -> None:
    file = tmp_path / "ner" / "sw" / "test.parquet"
    damage(file)
    assert says.format(file=file) in refused()


def test_a_source_without_training_labels(refused: Refused, tmp_path: Path) -> None:
    (tmp_path / "ner" / "en" / "train.parquet").unlink()
    assert f"no train data for 'en': {tmp_path}/ner/en/train.parquet does not exist" in refused()


def test_labels_that_are_mapped_are_no_mistake(bistil: Bistil, mine: str, tmp_path: Path) -> None:
    labels_are_others(tmp_path / "ner" / "sw" / "test.parquet")
    assert bistil("sweep", "--config", mine, "--plan", "--set", "label_map.DATE=O")[0] == 0


def weights_are_missing(folder: Path) -> None:
    (folder / "model.safetensors").unlink()


def weights_are_truncated(folder: Path) -> None:
    file_is_truncated(folder / "model.safetensors")


def tokenizer_is_missing(folder: Path) -> None:
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).unlink()


def family_is_another(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "gpt2", "architectures": None}))


def family_is_unknown(folder: Path) -> None:
    (folder / "config.json").write_text(json.dumps({"model_type": "no-such-family"}))


def config_is_missing(folder: Path) -> None:
    (folder / "config.json").unlink()


def config_is_not_json(folder: Path) -> None:
    (folder / "config.json").write_text("{")


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (weights_are_missing, "{teacher} has no weights"),
        (weights_are_truncated, "{teacher}/model.safetensors is damaged"),
        (tokenizer_is_missing, "{teacher} has no tokenizer"),
        (family_is_another, "model type 'gpt2' is not supported; allowed: bert"),
        (family_is_unknown, "is not supported; allowed: bert"),
        (config_is_missing, "{teacher} is not a model folder: it has no config.json"),
        (config_is_not_json, "{teacher}/config.json cannot be read"),
    ],
)
def test_a_teacher_that_cannot_be_used(
    refused: Refused, bert_folder: Path, tmp_path: Path, damage: Callable[[Path], None], says: str
) -> None:
    teacher = shutil.copytree(bert_folder, tmp_path / "teacher")
    damage(teacher)
    assert says.format(teacher=teacher) in refused("--teachers", f"{bert_folder},{teacher}")


def test_a_name_that_a_file_has(refused: Refused, tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir(exist_ok=True)
    (tmp_path / "runs" / "taken").touch()
    says = f"{tmp_path / 'runs' / 'taken'} is a file, where a run would have its folder: choose another --name"
    for more in ((), ("--plan",)):
        assert says in refused("--name", "taken", "--storage", str(tmp_path / "runs"), *more)


def test_layers_that_do_not_divide(refused: Refused, bert_folder: Path) -> None:
    says = "a student of 3 layers cannot be cut from a teacher of 4; allowed: 1, 2, 4 (--layers), or say which layers"
    assert f"{bert_folder.name}: {says}" in refused("--layers", "2,3")


@pytest.mark.parametrize("teacher", ["no-such-teacher", "nobody/no-such-teacher", "./no/such/teacher"])
def test_a_teacher_that_is_nowhere(refused: Refused, teacher: str) -> None:
    assert f"--teachers '{teacher}'" in refused("--teachers", teacher)
