"""What differs between families of encoders, and how teachers are loaded and checked.

A family is a ``Family`` in ``FAMILIES``. To add one whose encoder is an embedding module and a list of
layers, and whose attention goes through transformers' attention interface (``models/states.py`` relies on
that), write down where these parts are; everything else in the project asks the family. A family with another
kind of attention needs its own way to hand out attention maps in ``models/states.py`` as well.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import transformers
from safetensors import safe_open
from torch import nn
from transformers import (
    AutoConfig,
    AutoModelForMaskedLM,
    AutoTokenizer,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from bistil_ray.errors import ModelError

# What a model may carry on top of its encoder, and how transformers names the class after the family's stem.
HEADS = {
    "base": "Model",
    "masked-lm": "ForMaskedLM",
    "token-classification": "ForTokenClassification",
    "sequence-classification": "ForSequenceClassification",
    "question-answering": "ForQuestionAnswering",
}
WEIGHT_FILES = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)
# Any of these is enough for a fast tokenizer; with none of them transformers silently makes up an empty one.
TOKENIZER_FILES = ("tokenizer.json", "vocab.txt", "sentencepiece.bpe.model", "spiece.model", "vocab.json")


@dataclass(frozen=True)
class Family:
    """Where the parts of one family's models are.

    ``name`` is the ``model_type`` of its configurations, ``class_stem`` the beginning of its class names,
    ``prefix`` the attribute of a headed model that holds the encoder (and so the beginning of the encoder's
    parameter names); ``layers_at`` and ``embeddings_at`` are places inside the encoder. ``dropout_keys`` are
    the configuration keys that a student has at 0. ``positions_follow_padding``: positions are counted from
    the pad id + 1, as in RoBERTa.
    """

    name: str
    class_stem: str
    prefix: str
    layers_at: str = "encoder.layer"
    embeddings_at: str = "embeddings"
    dropout_keys: tuple[str, ...] = ("hidden_dropout_prob", "attention_probs_dropout_prob")
    positions_follow_padding: bool = False

    def encoder(self, model: PreTrainedModel) -> PreTrainedModel:
        """The model without its head; the model itself if it has none."""
        return getattr(model, self.prefix, model)

    def embeddings(self, model: PreTrainedModel) -> nn.Module:
        """The module that adds word, position and type embeddings."""
        return self.encoder(model).get_submodule(self.embeddings_at)

    def layers(self, model: PreTrainedModel) -> nn.ModuleList:
        """The encoder's layers, first to last."""
        layers = self.encoder(model).get_submodule(self.layers_at)
        assert isinstance(layers, nn.ModuleList)
        return layers

    def parameter_prefix(self, model: PreTrainedModel) -> str:
        """What the encoder's parameter names begin with in ``model``: "bert." with a head, "" without."""
        return f"{self.prefix}." if hasattr(model, self.prefix) else ""

    def has_pooler(self, model: PreTrainedModel) -> bool:
        """Whether the encoder ends in a pooler (masked-LM and token models have none)."""
        return getattr(self.encoder(model), "pooler", None) is not None

    def drop_pooler(self, model: PreTrainedModel) -> None:
        """Remove the encoder's pooler, in place."""
        setattr(self.encoder(model), "pooler", None)  # noqa: B010

    def first_position(self, config: PreTrainedConfig) -> int:
        """The row of the position embeddings that the first token of a text gets."""
        return config.pad_token_id + 1 if self.positions_follow_padding else 0

    def longest_text(self, config: PreTrainedConfig) -> int:
        """The number of tokens that a model of this configuration has positions for."""
        return int(config.max_position_embeddings) - self.first_position(config)

    def head_class(self, head: str) -> type[PreTrainedModel]:
        """The class of this family with the given head, a key of ``HEADS``."""
        return getattr(transformers, self.class_stem + HEADS[head])


BERT = Family(name="bert", class_stem="Bert", prefix="bert")
ROBERTA = Family(name="roberta", class_stem="Roberta", prefix="roberta", positions_follow_padding=True)
XLM_ROBERTA = replace(ROBERTA, name="xlm-roberta", class_stem="XLMRoberta")
FAMILIES = {family.name: family for family in (BERT, ROBERTA, XLM_ROBERTA)}


def family_of(config: PreTrainedConfig) -> Family:
    """The family a configuration belongs to; ModelError names the supported ones if it is none of them."""
    if config.model_type not in FAMILIES:
        raise ModelError(_unsupported(config.model_type))
    return FAMILIES[config.model_type]


def load_masked_lm(name: str | Path) -> PreTrainedModel:
    """A masked language model in float32 from a folder or a hub id, in evaluation mode.

    With ``HF_HUB_OFFLINE=1`` hub ids come from the local cache alone. Code that a checkpoint brings along is
    never run, and pickled weights are only read the safe way. ModelError if it cannot be read, is of an
    unsupported family, or if the checkpoint lacks weights (a bare encoder has no masked-LM head).
    """
    family_of(_load_config(name))
    try:
        model, report = AutoModelForMaskedLM.from_pretrained(
            name, dtype=torch.float32, trust_remote_code=False, weights_only=True, output_loading_info=True
        )
    except Exception as error:  # damaged files make the readers of several formats raise what they like
        raise ModelError(f"the weights of {name} cannot be read: {_first_line(error)}") from error
    if report["missing_keys"]:
        missing = ", ".join(sorted(report["missing_keys"])[:3])
        raise ModelError(f"{name} is not a whole masked language model: its weights lack {missing}, ...")
    return model.eval()


def load_tokenizer(name: str | Path) -> PreTrainedTokenizerFast:
    """The fast tokenizer of a folder or hub id; ModelError without one, or without a pad or mask token."""
    if os.path.isdir(name) and not any(os.path.exists(os.path.join(name, file)) for file in TOKENIZER_FILES):
        raise ModelError(f"{name} has no tokenizer (none of {', '.join(TOKENIZER_FILES)})")
    try:
        tokenizer = AutoTokenizer.from_pretrained(name, use_fast=True, trust_remote_code=False)
    except Exception as error:  # see load_masked_lm
        raise ModelError(f"no fast tokenizer can be made from {name}: {_first_line(error)}") from error
    if not isinstance(tokenizer, PreTrainedTokenizerFast):
        raise ModelError(f"{name} has no fast tokenizer but a {type(tokenizer).__name__}; add a tokenizer.json")
    for role in ("pad", "mask"):
        if getattr(tokenizer, f"{role}_token_id") is None:
            raise ModelError(f"the tokenizer of {name} has no {role} token")
    return tokenizer


def check_teacher(name: str | Path, student_layers: int | Sequence[int]) -> PreTrainedConfig:
    """Whether a teacher can be used for students of so many layers, found out without loading its weights.

    Checked are the configuration, the family, the presence of weights (of a folder), the tokenizer, and that
    the layer counts divide. Returns the configuration. Raises ModelError in one line otherwise.
    """
    config = _load_config(name)
    family_of(config)
    if os.path.isdir(name):
        _check_weight_files(Path(name))
    tokenizer = load_tokenizer(name)
    tokens, rows = len(tokenizer), config.vocab_size
    if tokens > rows:
        raise ModelError(f"the tokenizer of {name} has {tokens} tokens, its model only {rows} embedding rows")
    for layers in [student_layers] if isinstance(student_layers, int) else student_layers:
        try:
            check_layers(config.num_hidden_layers, layers)
        except ModelError as error:
            raise ModelError(f"{name}: {error}") from None
    return config


def check_layers(teacher_layers: int, student_layers: int) -> None:
    """ModelError unless a student of so many layers can be cut from a teacher of so many."""
    allowed = [n for n in range(1, teacher_layers + 1) if teacher_layers % n == 0]
    if student_layers not in allowed:
        raise ModelError(
            f"a student of {student_layers} layers cannot be cut from a teacher of {teacher_layers}; "
            f"allowed: {', '.join(map(str, allowed))} (--layers)"
        )


def _load_config(name: str | Path) -> PreTrainedConfig:
    if os.path.isdir(name):
        if not os.path.exists(os.path.join(name, "config.json")):
            raise ModelError(f"{name} is not a model folder: it has no config.json")
    elif os.path.exists(name):
        raise ModelError(f"{name} is a file; a teacher is a folder or a hub id (--teachers)")
    try:
        return AutoConfig.from_pretrained(name, trust_remote_code=False)
    except OSError as error:
        if os.path.isdir(name):
            raise ModelError(f"{name}/config.json cannot be read: {_first_line(error)}") from error
        raise ModelError(
            f"{name} is neither a folder nor a model on the Hugging Face hub or in its cache (--teachers)"
        ) from error
    except (ValueError, KeyError) as error:
        raise ModelError(f"{name}: {_unsupported('unknown')}") from error


def _check_weight_files(folder: Path) -> None:
    if not any((folder / file).exists() for file in WEIGHT_FILES):
        raise ModelError(f"{folder} has no weights (none of {', '.join(WEIGHT_FILES)})")
    if (folder / "model.safetensors").exists():
        try:
            # Opening reads the header alone and compares it with the length of the file.
            with safe_open(folder / "model.safetensors", framework="pt"):
                pass
        except Exception as error:  # the reader's own error class is not public
            raise ModelError(f"{folder}/model.safetensors is damaged: {_first_line(error)}") from error


def _unsupported(model_type: str) -> str:
    return f"model type {model_type!r} is not supported; allowed: {', '.join(sorted(FAMILIES))} (--teachers)"


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
