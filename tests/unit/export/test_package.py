"""What is exported computes what the model did, in any batch, and a folder is whole or not there."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
import torch

from bistil_ray.data.batches import pad_batch
from bistil_ray.data.examples import Examples
from bistil_ray.errors import ModelError
from bistil_ray.export import package as module
from bistil_ray.export.graph import write_onnx
from bistil_ray.export.heads import CLASSIFIER, PARSER, TAGGER, Head
from bistil_ray.export.likeness import largest_difference, probes
from bistil_ray.export.package import LabelledSet, Subject, load_subject, package
from bistil_ray.export.session import OnnxModel
from bistil_ray.export.usage import THIS_FOLDER, program
from bistil_ray.models.heads import load_model, model_inputs, model_labels
from bistil_ray.tasks.registry import TASKS

WORDS = (("Amina", "alitoka", "Mombasa"), ("mtu", "wa", "Nairobi", "na", "Amina"), ("kaka",))


def to_onnx(subject: Subject, file: Path) -> OnnxModel:
    batch = pad_batch(probes(subject.head, subject.model, subject.tokenizer), subject.tokenizer.pad_token_id)
    write_onnx(subject.model, model_inputs(subject.model, batch), file)
    return OnnxModel(file, subject.model.config)


@pytest.fixture(scope="module")
def graph(tagger: Subject, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tagger as ONNX: recording a graph takes seconds."""
    file = tmp_path_factory.mktemp("graph") / "model.onnx"
    to_onnx(tagger, file)
    return file


@pytest.fixture
def recorded(graph: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Packages get the tagger's graph as it was recorded, whatever their model."""
    monkeypatch.setattr(module, "write_onnx", lambda model, inputs, file: shutil.copy(graph, file))


def test_any_batch_of_any_length_gives_the_logits_of_pytorch(tagger: Subject, graph: Path) -> None:
    served = OnnxModel(graph, tagger.model.config, threads=1)
    for rows, length in [(1, 1), (1, 100), (7, 3), (2, 31)]:
        ids = torch.randint(5, 60, (rows, length), generator=torch.Generator().manual_seed(length))
        mask = torch.ones_like(ids)
        mask[-1, length // 2 + 1 :] = 0
        with torch.no_grad():
            expected = tagger.model(input_ids=ids, attention_mask=mask).logits
        torch.testing.assert_close(served(input_ids=ids, attention_mask=mask)["logits"], expected, atol=1e-5, rtol=1e-5)


def test_int8_holds_every_matrix_and_the_embeddings_in_bytes(tagger: Subject, recorded: None, tmp_path: Path) -> None:
    out = tmp_path / "out"
    forms = package(tagger, "onnx-int8", out, [], lambda forms: "the card")
    stored = onnx.load(out / "model.int8.onnx").graph.initializer
    bytes_wide = {tuple(value.dims) for value in stored if len(value.raw_data) == torch.Size(value.dims).numel()}
    vocabulary, width = tagger.model.get_input_embeddings().weight.shape
    assert {(vocabulary, width), (width, width), (width, 64), (64, width), (width, 3)} <= bytes_wide
    floats = sum(torch.Size(value.dims).numel() for value in stored if value.data_type == onnx.TensorProto.FLOAT)
    assert floats < 0.1 * tagger.model.num_parameters()
    assert [form.name for form in forms] == ["PyTorch", "ONNX", "ONNX int8"]
    # Processors without VNNI saturate sums of products, which these random weights show.
    assert forms[1].difference < 1e-5 < forms[2].difference < 1
    assert forms[2].bytes == (out / "model.int8.onnx").stat().st_size < forms[1].bytes
    assert {file.name for file in out.iterdir()} == {
        "README.md", "config.json", "model.int8.onnx", "tokenizer.json", "tokenizer_config.json",
    }  # fmt: skip
    assert (out / "README.md").read_text() == "the card"


def test_scores_of_each_form_are_those_of_its_own_predictions(
    tagger: Subject, graph: Path, recorded: None, tmp_path: Path
) -> None:
    labels = model_labels(tagger.model)
    task = TASKS["ner"]
    examples = Examples({"tokens": WORDS, "ner_tags": tuple(("O",) * len(row) for row in WORDS)}, "toy", {})
    found = task.predict(OnnxModel(graph, tagger.model.config), tagger.tokenizer, examples, labels, 30)
    assert found == task.predict(tagger.model, tagger.tokenizer, examples, labels, 30)
    right = Examples({"tokens": WORDS, "ner_tags": tuple(map(tuple, found))}, "toy", {})
    forms = package(tagger, "onnx", tmp_path / "out", [LabelledSet("sw", task, right)], lambda forms: "")
    assert [form.scores for form in forms] == [{"sw": 1.0}, {"sw": 1.0}]


def test_a_graph_that_computes_something_else_is_refused_and_nothing_is_left(
    tagger: Subject, recorded: None, tmp_path: Path
) -> None:
    model = load_model(TAGGER.name, tagger.folder)
    with torch.no_grad():
        model.classifier.bias += 0.1
    other = Subject(tagger.folder, tagger.head, model, tagger.tokenizer)
    with pytest.raises(ModelError, match=r"differ from PyTorch's by \d.*allowed: 0.001.*nothing was written"):
        package(other, "onnx", tmp_path / "out", [], lambda forms: "")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_for_the_hub_is_loaded_as_it_was(headed: Callable[[Head], Path], head: Head, tmp_path: Path) -> None:
    subject, out = load_subject(headed(head)), tmp_path / "out"
    assert len(package(subject, "hf", out, [], lambda forms: "the card")) == 1
    again = load_subject(out)
    features = probes(head, subject.model, subject.tokenizer)
    assert largest_difference(subject.model, again.model, features, subject.tokenizer.pad_token_id) == 0
    assert again.tokenizer.get_vocab() == subject.tokenizer.get_vocab() and (out / "README.md").is_file()


@pytest.mark.parametrize(("classes", "says"), [(["BertModel"], "BertModel, which has no head"), (None, "no class")])
def test_a_model_without_a_head_is_refused(classes: list[str] | None, says: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"architectures": classes}))
    with pytest.raises(ModelError, match=says):
        load_subject(tmp_path)
    with pytest.raises(ModelError, match="not a model folder"):
        load_subject(tmp_path / "nowhere")


def test_the_program_for_taggers_in_onnx_tells_each_words_label(
    tagger: Subject, recorded: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    package(tagger, "onnx", tmp_path / "out", [], lambda forms: "")
    exec(program(TAGGER, None, "model.onnx").replace(THIS_FOLDER, str(tmp_path / "out")), {})
    labels = [line.split()[-1] for line in capsys.readouterr().out.splitlines()]
    assert len(labels) == len("Amina Juma wrote a letter to the bank in Nairobi .".split())
    assert set(labels) <= set(model_labels(tagger.model))


def test_the_program_for_classifiers_in_onnx_tells_the_label(
    headed: Callable[[Head], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    subject = load_subject(headed(CLASSIFIER))
    package(subject, "onnx", tmp_path / "out", [], lambda forms: "")
    exec(program(CLASSIFIER, None, "model.onnx").replace(THIS_FOLDER, str(tmp_path / "out")), {})
    assert capsys.readouterr().out.strip() in model_labels(subject.model)


@pytest.mark.slow
def test_parsers_in_onnx_are_those_of_pytorch_and_their_program_runs(
    headed: Callable[[Head], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    subject = load_subject(headed(PARSER))
    forms = package(subject, "onnx-int8", tmp_path / "out", [], lambda forms: "")
    assert forms[1].difference < 1e-4
    exec(program(PARSER, None, "model.int8.onnx").replace(THIS_FOLDER, str(tmp_path / "out")), {})
    assert "Nairobi." in capsys.readouterr().out
