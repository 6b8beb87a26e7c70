"""Teachers and tokenizers: loaded from the folder that ``hub.py`` gives, and checked before any work."""

from __future__ import annotations

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

from ..errors import ModelError, first_line
from .families import family_of, unsupported

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
TOKENIZER_PARTS = (
    "tokenizer_config.json",
    *TOKENIZER_FILES,
    "merges.txt",
    "added_tokens.json",
    "special_tokens_map.json",
)
"""Everything that says what a tokenizer does."""


def silence_transformers() -> None:
    """Keep transformers' progress bars, and its reports of heads that are meant to be new, out of sight and of logs."""
    logging.set_verbosity_error()
    logging.disable_progress_bar()


def load_masked_lm(folder: str | Path) -> PreTrainedModel:
    """A masked language model in float32, in evaluation mode.

    Code that a checkpoint brings along is never run, and pickled weights are only read the safe way. ModelError if it
    cannot be read, is of an unsupported family, or if the checkpoint lacks weights (a bare encoder has no masked-LM
    head).
    """
    lacking: list[str] = []
    for settings in family_of(_load_config(folder)).head_settings:
        try:
            model, report = AutoModelForMaskedLM.from_pretrained(
                folder,
                dtype=torch.float32,
                trust_remote_code=False,
                weights_only=True,
                output_loading_info=True,
                **settings,
            )
        except Exception as error:  # damaged files make the readers of several formats raise what they like
            raise ModelError(f"the weights of {folder} cannot be read: {first_line(error)}") from error
        if not report["missing_keys"]:
            masked_lm: PreTrainedModel = model.eval()
            return masked_lm
        lacking = lacking or sorted(report["missing_keys"])
    raise ModelError(f"{folder} is not a whole masked language model: its weights lack {', '.join(lacking[:3])}, ...")


def load_tokenizer(folder: str | Path) -> PreTrainedTokenizerFast:
    """The fast tokenizer of a folder; ModelError without one, or without a pad or mask token."""
    if not any((Path(folder) / file).exists() for file in TOKENIZER_FILES):
        raise ModelError(f"{folder} has no tokenizer (none of {', '.join(TOKENIZER_FILES)})")
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, use_fast=True, trust_remote_code=False)
    except Exception as error:  # see load_masked_lm
        raise ModelError(f"no fast tokenizer can be made from {folder}: {first_line(error)}") from error
    if not isinstance(tokenizer, PreTrainedTokenizerFast):
        raise ModelError(f"{folder} has no fast tokenizer but a {type(tokenizer).__name__}; add a tokenizer.json")
    for role in ("pad", "mask"):
        if getattr(tokenizer, f"{role}_token_id") is None:
            raise ModelError(f"the tokenizer of {folder} has no {role} token")
    return tokenizer


def check_teacher(folder: str | Path, tokenizer_at: str | Path | None = None) -> PreTrainedConfig:
    """Whether a teacher can be used, found out without loading its weights.

    Checked are the configuration, the family, that it has a head of use, the presence of weights and the tokenizer,
    which may lie elsewhere. Returns the configuration. Raises ModelError in one line otherwise.
    """
    config = _load_config(folder)
    headless = family_of(config).headless
    if headless in (config.architectures or ()):
        raise ModelError(
            f"{folder} is of class {headless}, which has no masked-LM head; use another teacher (--teachers)"
        )
    _check_weight_files(Path(folder))
    tokenizer = load_tokenizer(tokenizer_at or folder)
    tokens, rows = len(tokenizer), config.vocab_size
    if tokens > rows:
        raise ModelError(f"the tokenizer of {folder} has {tokens} tokens, its model only {rows} embedding rows")
    if config.pad_token_id not in tokenizer.all_special_ids:
        raise ModelError(
            f"config.json of {folder} says pad_token_id {config.pad_token_id}, which is no special token of its "
            f"tokenizer: correct it, to {tokenizer.pad_token_id} ({tokenizer.pad_token})"
        )
    return config


def _load_config(folder: str | Path) -> PreTrainedConfig:
    if not (Path(folder) / "config.json").exists():
        raise ModelError(f"{folder} is not a model folder: it has no config.json")
    try:
        return AutoConfig.from_pretrained(folder, trust_remote_code=False)
    except OSError as error:
        raise ModelError(f"{folder}/config.json cannot be read: {first_line(error)}") from error
    except (ValueError, KeyError) as error:
        raise ModelError(f"{folder}: {unsupported('unknown')}") from error


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
