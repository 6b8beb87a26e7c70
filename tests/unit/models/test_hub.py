"""A model is named by a folder or a hub id; what is neither is refused, with the flag that named it."""

from __future__ import annotations

from pathlib import Path

import pytest

from bistil_ray.errors import ModelError
from bistil_ray.models.hub import locate_model, locate_sft


def test_a_folder_is_taken_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "org" / "model").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert locate_model("org/model", "--teachers") == tmp_path / "org" / "model"


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_text("{}")
    with pytest.raises(ModelError, match=r"--teachers '.*config.json': no such folder"):
        locate_model(str(file), "--teachers")


@pytest.mark.parametrize("place", ["/no/such/folder", "../no/such/folder", "no/such/folder"])
def test_what_can_be_a_folder_alone_is_not_looked_for_on_the_hub(place: str) -> None:
    with pytest.raises(ModelError, match=f"^--student '{place}': no such folder$"):
        locate_model(place, "--student")


@pytest.mark.parametrize("place", ["no-such-folder", "org/no-such-model"])
def test_a_model_that_is_nowhere(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError) as error:
        locate_model(place, "--teachers")
    assert str(error.value) == (
        f"--teachers {place!r} is neither a folder nor a model that the Hugging Face hub or its cache has"
    )
    with pytest.raises(ModelError, match="neither a folder nor an SFT that"):
        locate_sft(place, "language_sfts")
