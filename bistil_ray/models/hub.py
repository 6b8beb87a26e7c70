"""Where a model or an SFT lies: a folder as it is, a hub id as its downloaded snapshot."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

from ..errors import ModelError
from ..storage import local_path

MODEL_FILES = ("*.json", "*.safetensors", "*.txt", "*.model", "pytorch_model.bin", "pytorch_diff.bin")
SFT_FILES = ("sft.json", "sft.safetensors", "pytorch_diff.bin")


def locate_model(place: str, flag: str) -> Path:
    """Give the folder of a model named by a folder or a hub id; ModelError says what was looked for.

    A hub id is downloaded once (with ``HF_HUB_OFFLINE=1`` only the cache is looked into).
    """
    return _locate(place, flag, MODEL_FILES, "a model")


def locate_sft(place: str, flag: str) -> Path:
    """Give the folder of an SFT named like a model, of which nothing else is downloaded."""
    return _locate(place, flag, SFT_FILES, "an SFT")


def _locate(place: str, flag: str, files: Sequence[str], what: str) -> Path:
    folder = local_path(place)
    if folder.is_dir():
        return folder.resolve()
    if folder.exists() or place.startswith((".", "/", "~")) or place.count("/") > 1:
        raise ModelError(f"{flag} {place!r}: no such folder")
    try:
        return Path(snapshot_download(place, allow_patterns=list(files)))
    except (LocalEntryNotFoundError, HfHubHTTPError, HFValidationError, OSError) as problem:
        raise ModelError(
            f"{flag} {place!r} is neither a folder nor {what} that the Hugging Face hub or its cache has"
        ) from problem
