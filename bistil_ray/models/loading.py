"""Teachers and tokenizers: loaded, and checked before any work."""

from __future__ import annotations

import os
from pathlib import Path

import torch
from safetensors import safe_open
from transformers import (
    AutoConfig,
    AutoModelForMaskedLM,
    AutoTokenizer,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)
from transformers.utils import logging

from bistil_ray.errors import ModelError, first_line
from bistil_ray.models.families import family_of, unsupported

WEIGHT_FILES = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)
# Any of these is enough for a fast tokenizer; with none of them transformers silently makes up an empty one.
TOKENIZER_FILES = (
    "tokenizer.json",
    "vocab.txt",
    "sentencepiece.bpe.model",
    "spiece.model",
    "spm.model",
    "tokenizer.model",
    "vocab.json",
)


def silence_transformers() -> None:
    """Keep transformers' progress bars, and its reports of heads that are meant to be new, out of sight and of logs."""
    logging.set_verbosity_error()
    logging.disable_progress_bar()


def load_masked_lm(name: str | Path) -> PreTrainedModel:
    """A masked language model in float32 from a folder or a hub id, in evaluation mode.

    With ``HF_HUB_OFFLINE=1`` hub ids come from the local cache alone. Code that a checkpoint brings along is
    never run, and pickled weights are only read the safe way. ModelError if it cannot be read, is of an
    unsupported family, or if the checkpoint lacks weights (a bare encoder has no masked-LM head).
    """
    lacking: list[str] = []
    for settings in family_of(_load_config(name)).head_settings:
        try:
            model, report = AutoModelForMaskedLM.from_pretrained(
                name,
                dtype=torch.float32,
                trust_remote_code=False,
                weights_only=True,
                output_loading_info=True,
                **settings,
            )
        except Exception as error:  # damaged files make the readers of several formats raise what they like
            raise ModelError(f"the weights of {name} cannot be read: {first_line(error)}") from error
        if not report["missing_keys"]:
            masked_lm: PreTrainedModel = model.eval()
            return masked_lm
        lacking = lacking or sorted(report["missing_keys"])
    raise ModelError(f"{name} is not a whole masked language model: its weights lack {', '.join(lacking[:3])}, ...")


def load_tokenizer(name: str | Path) -> PreTrainedTokenizerFast:
    """The fast tokenizer of a folder or hub id; ModelError without one, or without a pad or mask token."""
    if os.path.isdir(name) and not any(os.path.exists(os.path.join(name, file)) for file in TOKENIZER_FILES):
        raise ModelError(f"{name} has no tokenizer (none of {', '.join(TOKENIZER_FILES)})")
    try:
        tokenizer = AutoTokenizer.from_pretrained(name, use_fast=True, trust_remote_code=False)
    except Exception as error:  # see load_masked_lm
        raise ModelError(f"no fast tokenizer can be made from {name}: {first_line(error)}") from error
    if not isinstance(tokenizer, PreTrainedTokenizerFast):
        raise ModelError(f"{name} has no fast tokenizer but a {type(tokenizer).__name__}; add a tokenizer.json")
    for role in ("pad", "mask"):
        if getattr(tokenizer, f"{role}_token_id") is None:
            raise ModelError(f"the tokenizer of {name} has no {role} token")
    return tokenizer


def check_teacher(name: str | Path, tokenizer_at: str | Path | None = None) -> PreTrainedConfig:
    """Whether a teacher can be used, found out without loading its weights.

    Checked are the configuration, the family, that it has a head of use, the presence of weights (of a folder) and the
    tokenizer, which may lie elsewhere. Returns the configuration. Raises ModelError in one line otherwise.
    """
    config = _load_config(name)
    headless = family_of(config).headless
    if headless in (config.architectures or ()):
        raise ModelError(
            f"{name} is of class {headless}, which has no masked-LM head; use another teacher (--teachers)"
        )
    if os.path.isdir(name):
        _check_weight_files(Path(name))
    tokenizer = load_tokenizer(tokenizer_at or name)
    tokens, rows = len(tokenizer), config.vocab_size
    if tokens > rows:
        raise ModelError(f"the tokenizer of {name} has {tokens} tokens, its model only {rows} embedding rows")
    return config


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
            raise ModelError(f"{name}/config.json cannot be read: {first_line(error)}") from error
        raise ModelError(
            f"{name} is neither a folder nor a model on the Hugging Face hub or in its cache (--teachers)"
        ) from error
    except (ValueError, KeyError) as error:
        raise ModelError(f"{name}: {unsupported('unknown')}") from error


def _check_weight_files(folder: Path) -> None:
    if not any((folder / file).exists() for file in WEIGHT_FILES):
        raise ModelError(f"{folder} has no weights (none of {', '.join(WEIGHT_FILES)})")
    if (folder / "model.safetensors").exists():
        try:
            # Opening reads the header alone and compares it with the length of the file.
            with safe_open(folder / "model.safetensors", framework="pt"):
                pass
        except Exception as error:  # the reader's own error class is not public
            raise ModelError(f"{folder}/model.safetensors is damaged: {first_line(error)}") from error
