"""Families are told apart, and teachers that cannot be used are refused in one clear line before any work."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import AutoConfig, PreTrainedTokenizerFast

from bistil_ray.errors import ModelError
from bistil_ray.models.families import (
    FAMILIES,
    HEADS,
    check_teacher,
    family_of,
    load_masked_lm,
    load_tokenizer,
)

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


def refused(folder: Path | str, layers: int = 2) -> str:
    with pytest.raises(ModelError) as error:
        check_teacher(folder, layers)
    assert len(str(error.value).splitlines()) == 1
    return str(error.value)


@pytest.mark.parametrize("head", sorted(HEADS))
def test_parts_are_found_with_every_head(make_model, family_name: str, head: str) -> None:
    model = make_model(family_name, head)
    family = family_of(model.config)
    assert family is FAMILIES[family_name]
    assert type(model) is family.head_class(head)
    assert len(family.layers(model)) == 4
    assert family.embeddings(model).word_embeddings is model.get_input_embeddings()
    names = [name for name, _ in model.named_parameters(remove_duplicate=False)]
    prefix = family.parameter_prefix(model)
    encoder = [prefix + name for name, _ in family.encoder(model).named_parameters(remove_duplicate=False)]
    assert encoder and set(encoder) <= set(names)
    assert (prefix == "") == (head == "base") == (set(encoder) == set(names))


def test_pooler_can_be_dropped(make_model, inputs, family_name: str) -> None:
    model = make_model(family_name, "base")
    family = family_of(model.config)
    assert family.has_pooler(model)
    state = model(**inputs).last_hidden_state
    family.drop_pooler(model)
    assert not family.has_pooler(model)
    assert torch.equal(model(**inputs).last_hidden_state, state)
    assert not family.has_pooler(make_model(family_name, "masked-lm"))


def test_positions_start_behind_the_pad_id_in_roberta_only() -> None:
    first = {name: family.first_position(AutoConfig.for_model(name)) for name, family in FAMILIES.items()}
    assert first == {"bert": 0, "roberta": 2, "xlm-roberta": 2}


def test_other_families_are_refused_with_the_supported_ones() -> None:
    with pytest.raises(ModelError, match="'gpt2' is not supported; allowed: bert, roberta, xlm-roberta"):
        family_of(AutoConfig.for_model("gpt2"))


def test_a_good_teacher_is_checked_and_loaded(teacher: Path) -> None:
    assert check_teacher(teacher, 2).num_hidden_layers == 4
    assert check_teacher(str(teacher), [1, 2, 4]).model_type == "bert"
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
    check_teacher(teacher, 2)
    assert torch.equal(
        load_masked_lm(teacher).get_input_embeddings().weight,
        weights["bert.embeddings.word_embeddings.weight"],
    )


def test_pickles_that_run_code_are_not_loaded(teacher: Path) -> None:
    (teacher / "model.safetensors").unlink()
    torch.save({"x": Path("anything but a tensor")}, teacher / "pytorch_model.bin")
    with pytest.raises(ModelError, match="weights of .* cannot be read"):
        load_masked_lm(teacher)


def test_layers_that_do_not_divide(teacher: Path) -> None:
    assert refused(teacher, 3).endswith(
        "a student of 3 layers cannot be cut from a teacher of 4; allowed: 1, 2, 4 (--layers)"
    )
    with pytest.raises(ModelError, match="student of 5 layers"):
        check_teacher(teacher, [2, 5])


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


def test_an_unsupported_family(teacher: Path) -> None:
    config = json.loads((teacher / "config.json").read_text())
    for model_type in ("electra", "no-such-model"):
        (teacher / "config.json").write_text(json.dumps({**config, "model_type": model_type}))
        assert "allowed: bert, roberta, xlm-roberta (--teachers)" in refused(teacher)


def test_a_folder_that_is_no_model(tmp_path: Path) -> None:
    assert refused(tmp_path).endswith("is not a model folder: it has no config.json")
    (tmp_path / "config.json").write_text("{")
    assert "config.json cannot be read" in refused(tmp_path)


def test_a_file_instead_of_a_folder(teacher: Path) -> None:
    assert "is a file; a teacher is a folder or a hub id" in refused(teacher / "config.json")


@pytest.mark.parametrize(
    "name", ["/no/such/folder", "no-such-folder", "../no/such/folder", "org/no-such-model"]
)
def test_a_teacher_that_is_nowhere(name: str, monkeypatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert refused(name) == (
        f"{name} is neither a folder nor a model on the Hugging Face hub or in its cache (--teachers)"
    )


def test_an_encoder_without_a_masked_lm_head(make_model, teacher: Path) -> None:
    shutil.rmtree(teacher)
    make_model("bert", "base").save_pretrained(teacher)
    with pytest.raises(
        ModelError, match="not a whole masked language model: its weights lack cls.predictions"
    ):
        load_masked_lm(teacher)
