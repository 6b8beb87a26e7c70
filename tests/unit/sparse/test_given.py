"""SFTs of others are found in either format, brought under a model's names, and refused where they do not fit."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor
from transformers import AutoConfig, AutoModel, AutoModelForMaskedLM, AutoModelForTokenClassification, PreTrainedModel

from bistil_ray.errors import ModelError
from bistil_ray.models import hub
from bistil_ray.sparse.convert import encode_sparse, write_composable
from bistil_ray.sparse.delta import SparseDelta, apply_delta
from bistil_ray.sparse.files import save_delta
from bistil_ray.sparse.given import fit_delta, load_sft

META = {"base_model": "m", "base_fingerprint": "f", "density": 0.1, "method": "lt-sft"}
LANGUAGE, TASK = {**META, "language": "sw"}, {**META, "task": "ner"}
WORDS, QUERY = "embeddings.word_embeddings.weight", "encoder.layer.1.attention.self.query.weight"


def make_model(kind: str = "xlm-roberta", maker: type = AutoModelForMaskedLM) -> PreTrainedModel:
    shape = {"vocab_size": 20, "hidden_size": 8, "num_attention_heads": 2, "num_hidden_layers": 2}
    return maker.from_config(AutoConfig.for_model(kind, **shape, intermediate_size=8, max_position_embeddings=12))


def make_delta(meta: dict[str, object], prefix: str = "roberta.", **dense: Tensor) -> SparseDelta:
    """A change of two entries of the word embeddings and of one of a layer."""
    names = {prefix + WORDS: [3, 11], prefix + QUERY: [5]}
    return SparseDelta(
        {name: torch.tensor(index) for name, index in names.items()},
        {name: torch.ones(len(index)) for name, index in names.items()},
        {prefix + WORDS: (20, 8), prefix + QUERY: (8, 8)},
        {name.replace("__", "."): value for name, value in dense.items()},
        meta,
    )


def test_both_formats_are_read(tmp_path: Path) -> None:
    write_composable(make_delta(TASK), tmp_path / "theirs")
    save_delta(make_delta(LANGUAGE), tmp_path / "ours")
    theirs, ours = (load_sft(str(tmp_path / name), "--sft", TASK) for name in ("theirs", "ours"))
    assert theirs.meta == TASK and ours.meta == LANGUAGE
    assert theirs.shapes == ours.shapes


def test_files_from_before_block_sparse_parameters_are_read(tmp_path: Path) -> None:
    index = torch.tensor([1, 6])
    content = {"diffs": {f"roberta.{QUERY}": encode_sparse(index, torch.ones(2), (8, 8))}, "abs": {}}
    torch.save(content, tmp_path / "pytorch_diff.bin")
    assert load_sft(str(tmp_path), "--sft", LANGUAGE).indices[f"roberta.{QUERY}"].tolist() == [1, 6]


def test_a_folder_without_an_sft_is_named_with_its_flag(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=f"--sft '{tmp_path}' holds no SFT"):
        load_sft(str(tmp_path), "--sft", LANGUAGE)
    with pytest.raises(ModelError, match="--sft './none': no such folder"):
        load_sft("./none", "--sft", LANGUAGE)


def test_of_a_hub_repository_only_the_sft_is_downloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_composable(make_delta(LANGUAGE), tmp_path)
    asked: dict[str, object] = {}

    def download(place: str, allow_patterns: list[str]) -> str:
        asked[place] = set(allow_patterns)
        return str(tmp_path)

    monkeypatch.setattr(hub, "snapshot_download", download)
    assert load_sft("cambridgeltl/xlmr-lang-sft-sw-small", "--sft", LANGUAGE).parameters == 3
    assert asked == {"cambridgeltl/xlmr-lang-sft-sw-small": {"pytorch_diff.bin", "sft.safetensors", "sft.json"}}


@pytest.mark.parametrize("prefix", ["roberta.", "xlm-roberta.", "xlm_roberta.", ""])
@pytest.mark.parametrize("maker", [AutoModelForMaskedLM, AutoModelForTokenClassification, AutoModel])
def test_other_prefixes_are_mapped_to_the_model(prefix: str, maker: type) -> None:
    model = make_model(maker=maker)
    fitted = fit_delta(make_delta(LANGUAGE, prefix), model, "--sft")
    own = "" if maker is AutoModel else "roberta."
    assert fitted.indices.keys() == fitted.values.keys() == fitted.shapes.keys() == {own + WORDS, own + QUERY}
    words = model.get_input_embeddings().weight
    before = words.detach().clone()
    apply_delta(model, fitted)
    assert (words != before).sum() == 2 and words.view(-1)[11] == before.view(-1)[11] + 1


def test_the_head_of_a_language_is_left_out_and_that_of_a_task_kept() -> None:
    head = torch.ones(20)
    norm = torch.ones(8)
    language = make_delta(LANGUAGE, lm_head__bias=head, roberta__embeddings__LayerNorm__bias=norm)
    for maker in (AutoModelForMaskedLM, AutoModelForTokenClassification):
        assert fit_delta(language, make_model(maker=maker), "it").dense.keys() == {"roberta.embeddings.LayerNorm.bias"}
    tagger = make_model(maker=AutoModelForTokenClassification)
    task = make_delta(TASK, classifier__weight=torch.ones(2, 8), classifier__bias=torch.ones(2))
    assert fit_delta(task, tagger, "it").dense.keys() == {"classifier.weight", "classifier.bias"}


@pytest.mark.parametrize(
    ("delta", "says"),
    [
        (make_delta(LANGUAGE, "bert."), "no parameter bert.embeddings"),
        (make_delta(LANGUAGE, "encoder."), "no parameter encoder.embeddings"),
        (make_delta(TASK, classifier__bias=torch.ones(3)), r"classifier.bias is \(3,\) there and \(2,\) in the model"),
        (make_delta(TASK, qa_outputs__bias=torch.ones(2)), "no parameter qa_outputs.bias"),
    ],
)
def test_an_sft_of_another_base_is_refused(delta: SparseDelta, says: str) -> None:
    with pytest.raises(ModelError, match=f"--sft x belongs to another base: .*{says}"):
        fit_delta(delta, make_model(maker=AutoModelForTokenClassification), "--sft x")


def test_an_sft_of_another_vocabulary_is_refused() -> None:
    delta = make_delta(LANGUAGE)
    delta.shapes[f"roberta.{WORDS}"] = (21, 8)
    with pytest.raises(ModelError, match=r"belongs to another base: .* \(21, 8\) there and \(20, 8\)"):
        fit_delta(delta, make_model(), "it")
