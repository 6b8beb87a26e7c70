"""Code that comes with a model is never executed, and no model needs it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from bistil_ray.cli.main import main
from bistil_ray.models.heads import load_model, new_model
from bistil_ray.models.loading import check_teacher, load_masked_lm, load_tokenizer

CLASSES = ("AutoConfig", "AutoModel", "AutoModelForMaskedLM", "AutoModelForTokenClassification")


@pytest.fixture
def armed(bert_folder: Path, tmp_path: Path) -> Path:
    """A model that names classes of its own, whose file makes another when it is imported."""
    model = shutil.copytree(bert_folder, tmp_path / "model")
    for name in ("modeling_trap.py", "configuration_trap.py", "tokenization_trap.py", "__init__.py"):
        (model / name).write_text(f"open({str(tmp_path / 'sprung')!r}, 'w')\nclass Trap: ...\n")
    change(model / "config.json", auto_map={name: "modeling_trap.Trap" for name in CLASSES})
    change(model / "tokenizer_config.json", auto_map={"AutoTokenizer": ["tokenization_trap.Trap"] * 2})
    return model


def change(file: Path, **values: Any) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), **values}))


def test_a_known_model_is_loaded_without_the_code_beside_it(armed: Path, tmp_path: Path) -> None:
    check_teacher(armed)
    load_tokenizer(armed)
    load_masked_lm(armed)
    new_model("token-classification", armed, ("O",), seed=0).save_pretrained(tmp_path / "tagger")
    load_model("token-classification", tmp_path / "tagger")
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("kind", ["trap", None, "../../trap"])
def test_a_model_of_its_own_kind_is_refused(
    armed: Path, kind: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("builtins.input", lambda *asked: "y")  # even if somebody says yes
    change(armed / "config.json", model_type=kind)
    words = ["--teacher", str(armed), "--lang", "sw", "--corpora", str(tmp_path), "--out", str(tmp_path / "out")]
    assert main(["distill", *words]) == 2
    assert "error: " in capsys.readouterr().err
    assert not (tmp_path / "sprung").exists()


def test_a_tokenizer_of_its_own_kind_is_not_imported(armed: Path, tmp_path: Path) -> None:
    change(armed / "tokenizer_config.json", tokenizer_class="Trap")
    load_tokenizer(armed)
    assert not (tmp_path / "sprung").exists()


def test_nothing_in_the_source_allows_it() -> None:
    import bistil_ray

    sources = [path.read_text() for path in Path(bistil_ray.__file__).parent.rglob("*.py")]
    assert not any("trust_remote_code=True" in text or "weights_only=False" in text for text in sources)
