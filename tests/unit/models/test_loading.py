"""Teachers that cannot be used are refused in one clear line before any work; others are loaded whole."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from bistil_ray.errors import ModelError
from bistil_ray.models.families import FAMILIES
from bistil_ray.models.loading import check_teacher, load_masked_lm, load_tokenizer

WORDS = ["[PAD]", "[UNK]", "[MASK]", *"abcdefghij"]


@pytest.fixture
def teacher(make_model, tmp_path: Path) -> Path:
    """A folder with a whole teacher of four layers."""
    folder = tmp_path / "teacher"
    make_model("bert").save_pretrained(folder)
    words = models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]")
    backend = Tokenizer(words)
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="[PAD]", unk_token="[UNK]", mask_token="[MASK]"
    ).save_pretrained(folder)
    return folder


def refused(folder: Path) -> str:
    with pytest.raises(ModelError) as error:
        check_teacher(folder)
    assert len(str(error.value).splitlines()) == 1
    return str(error.value)


def test_a_good_teacher_is_checked_and_loaded(teacher: Path) -> None:
    checked = check_teacher(teacher)
    assert (checked.model_type, checked.num_hidden_layers) == ("bert", 4)
    model = load_masked_lm(teacher)
    assert model.dtype == torch.float32 and not model.training
    assert load_tokenizer(teacher).tokenize("a j x") == ["a", "j", "[UNK]"]


def test_half_precision_weights_are_loaded_in_float32(make_model, tmp_path: Path) -> None:
    make_model("bert").half().save_pretrained(tmp_path)
    assert load_masked_lm(tmp_path).dtype == torch.float32


def test_pickled_weights_alone_are_enough(teacher: Path) -> None:
    weights = load_masked_lm(teacher).state_dict()
    (teacher / "model.safetensors").unlink()
    torch.save(weights, teacher / "pytorch_model.bin")
    check_teacher(teacher)
    assert torch.equal(
        load_masked_lm(teacher).get_input_embeddings().weight,
        weights["bert.embeddings.word_embeddings.weight"],
    )


def test_pickles_that_run_code_are_not_loaded(teacher: Path) -> None:
    (teacher / "model.safetensors").unlink()
    torch.save({"x": Path("anything but a tensor")}, teacher / "pytorch_model.bin")
    with pytest.raises(ModelError, match="weights of .* cannot be read"):
        load_masked_lm(teacher)


def test_a_folder_without_weights(teacher: Path) -> None:
    (teacher / "model.safetensors").unlink()
    assert "has no weights (none of model.safetensors" in refused(teacher)


def test_a_folder_with_truncated_weights(teacher: Path) -> None:
    whole = (teacher / "model.safetensors").read_bytes()
    (teacher / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    assert "model.safetensors is damaged" in refused(teacher)
    with pytest.raises(ModelError, match="weights of .* cannot be read"):
        load_masked_lm(teacher)


def test_a_folder_without_a_tokenizer(teacher: Path) -> None:
    (teacher / "tokenizer.json").unlink()
    assert "has no tokenizer (none of tokenizer.json" in refused(teacher)


def test_a_tokenizer_that_is_damaged(teacher: Path) -> None:
    (teacher / "tokenizer.json").write_text("{")
    assert "no fast tokenizer can be made from" in refused(teacher)


def test_a_tokenizer_without_a_mask_token(teacher: Path) -> None:
    settings = json.loads((teacher / "tokenizer_config.json").read_text())
    del settings["mask_token"]
    (teacher / "tokenizer_config.json").write_text(json.dumps(settings))
    assert refused(teacher).endswith("has no mask token")


def test_a_tokenizer_larger_than_the_model(teacher: Path, make_model) -> None:
    make_model("bert", vocab_size=9).save_pretrained(teacher)
    assert "has 13 tokens, its model only 9 embedding rows" in refused(teacher)


@pytest.mark.parametrize("pad", [None, 7])
def test_a_pad_id_that_is_no_special_token(teacher: Path, pad: int | None) -> None:
    config = json.loads((teacher / "config.json").read_text())
    (teacher / "config.json").write_text(json.dumps({**config, "pad_token_id": pad}))
    assert refused(teacher).endswith(
        f"says pad_token_id {pad}, which is no special token of its tokenizer: correct it, to 0 ([PAD])"
    )


def test_an_unsupported_family(teacher: Path) -> None:
    config = json.loads((teacher / "config.json").read_text())
    for model_type in ("albert", "no-such-model"):
        (teacher / "config.json").write_text(json.dumps({**config, "model_type": model_type}))
        assert f"allowed: {', '.join(sorted(FAMILIES))} (--teachers)" in refused(teacher)


def test_an_electra_discriminator(teacher: Path, make_model) -> None:
    config = make_model("electra").config.to_dict()
    for architecture in ("ElectraForMaskedLM", "ElectraForTokenClassification"):
        (teacher / "config.json").write_text(json.dumps({**config, "architectures": [architecture]}))
        check_teacher(teacher)
    (teacher / "config.json").write_text(json.dumps({**config, "architectures": ["ElectraForPreTraining"]}))
    assert "is of class ElectraForPreTraining, which has no masked-LM head" in refused(teacher)


def test_a_deberta_whose_configuration_does_not_say_which_head_it_has(make_model, inputs, tmp_path: Path) -> None:
    model = make_model("deberta-v2", legacy=False)
    model.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    del config["legacy"]
    (tmp_path / "config.json").write_text(json.dumps(config))
    loaded = load_masked_lm(tmp_path)
    assert torch.equal(loaded(**inputs).logits, model(**inputs).logits)


def test_a_folder_that_is_no_model(tmp_path: Path) -> None:
    assert refused(tmp_path).endswith("is not a model folder: it has no config.json")
    (tmp_path / "config.json").write_text("{")
    assert "config.json cannot be read" in refused(tmp_path)


def test_an_encoder_without_a_masked_lm_head(make_model, teacher: Path) -> None:
    shutil.rmtree(teacher)
    make_model("bert", "base").save_pretrained(teacher)
    with pytest.raises(ModelError, match="not a whole masked language model: its weights lack cls.predictions"):
        load_masked_lm(teacher)
