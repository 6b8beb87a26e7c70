"""Putting an exported folder on the Hugging Face hub."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from huggingface_hub import HfApi, get_token
from huggingface_hub.errors import HFValidationError, HTTPError
from huggingface_hub.utils import validate_repo_id

from ..errors import ConfigError, StorageError


def check_repository(name: str) -> None:
    """ConfigError, before any work, for what is no ORG/NAME, or where there is no token to write with."""
    try:
        validate_repo_id(name)
    except HFValidationError as problem:
        raise ConfigError(
            f"--push {name!r} is no repository: write ORG/NAME in letters, digits, '-', '_', '.'"
        ) from problem
    if name.count("/") != 1:
        raise ConfigError(f"--push {name!r} names no owner: write ORG/NAME")
    if get_token() is None:
        raise ConfigError("--push needs a token of the hub: run `hf auth login`, or set HF_TOKEN")


def push(folder: Path, name: str, make_api: Callable[[], HfApi] = HfApi) -> str:
    """Upload ``folder`` to the model repository ``name``, made if it is not there; give its address.

    StorageError, without a word of the token, if the hub does not take it.
    """
    api = make_api()
    try:
        address = api.create_repo(name, repo_type="model", exist_ok=True)
        api.upload_folder(repo_id=name, folder_path=folder, commit_message="Upload from bistil-ray")
    except (OSError, HTTPError) as problem:
        status = getattr(getattr(problem, "response", None), "status_code", None)
        reason = f"the hub answered {status}" if status else type(problem).__name__
        raise StorageError(
            f"{folder} was written, but not pushed to {name!r}: {reason} (is the token allowed to write there? --push)"
        ) from None
    return str(address)
