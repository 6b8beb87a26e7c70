"""A language's SFT: of its share of the encoder, of the teacher as it is, and better at the language."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from shutil import copytree
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from transformers import AutoModelForMaskedLM, PreTrainedModel

from bistil_ray.sparse.delta import SparseDelta
from bistil_ray.sparse.files import load_delta, save_delta
from bistil_ray.sparse.given import fit_delta
from bistil_ray.steps.adapt import sft_folder
from bistil_ray.steps.context import Job, LocalContext
from bistil_ray.steps.run import run_step
from bistil_ray.teachers.adapted import adapted
from tests.packed import pack_of

LANG, DENSITY = "sw", 0.1
SETTINGS = {
    "lang": LANG, "seed": 0, "density": DENSITY, "l1": 0.1, "dense_steps": 12, "sparse_steps": 30, "mask": 0.15,
    "freeze": ["layer_norm", "output_embedding"], "batch_size": 8, "lr": 3e-3, "warmup": 0.0, "clip": 1.0,
    "precision": "fp32",
}  # fmt: skip


@dataclass
class Adapted:
    """A teacher, what the step was given, and what it gave."""

    teacher: Path
    step: Path
    pack: Path
    result: Mapping[str, Any]
    delta: SparseDelta

    def model(self) -> PreTrainedModel:
        return AutoModelForMaskedLM.from_pretrained(self.teacher).eval()


def adapt(teacher: Path, pack: Path, folder: Path, **changed: Any) -> Mapping[str, Any]:
    about = {"lang": LANG, "teacher": "tiny"}
    job = Job("adapt", {**SETTINGS, **changed}, {"teacher": str(teacher)}, {"pack": pack}, folder, about=about)
    return run_step(job, LocalContext())


@pytest.fixture(scope="module", params=["bert_folder", "xlmr_folder"])
def done(request: pytest.FixtureRequest, tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Adapted:
    """A teacher adapted to one language."""
    teacher: Path = request.getfixturevalue(request.param)
    folder = tmp_path_factory.mktemp("adapt")
    pack = pack_of(teacher, tiny_data / "corpora", LANG, folder / "pack")
    result = adapt(teacher, pack, folder / "adapt")
    return Adapted(teacher, folder / "adapt", pack, result, load_delta(sft_folder(folder / "adapt")))


def test_the_whole_vocabulary_stays(done: Adapted) -> None:
    kept = np.load(done.pack / "kept.npy")
    assert np.array_equal(kept, np.arange(done.model().config.vocab_size))


def test_the_language_model_gets_better_at_the_language(done: Adapted) -> None:
    before, after = done.result["bits_per_character_before"], done.result["bits_per_character"]
    assert after.keys() == before.keys() == {LANG}
    assert after[LANG] < 0.9 * before[LANG]
    assert done.result["tokens"] == 42 * 8 * 16
    assert done.result["loss"].keys() == {"mlm", "l1"}


def test_the_sft_holds_its_share_of_the_encoder_and_nothing_else(done: Adapted) -> None:
    model = done.model()
    norms = {f"{at}.{name}" for at, part in model.named_modules() if isinstance(part, nn.LayerNorm)
             for name in part.state_dict()}  # fmt: skip
    prefix = f"{model.base_model_prefix}."
    free = {name: value for name, value in model.named_parameters(remove_duplicate=False)
            if name.startswith(prefix) and name not in norms}  # fmt: skip
    assert done.delta.indices.keys() <= free.keys()
    assert f"{prefix}embeddings.word_embeddings.weight" in done.delta.indices
    assert done.delta.dense == {}
    most = int(DENSITY * sum(value.numel() for value in free.values()))
    assert 0.9 * most <= done.delta.parameters == done.result["parameters"] <= most


def test_the_sft_says_what_it_is(done: Adapted) -> None:
    meta = done.delta.meta
    assert meta.pop("base_fingerprint")
    assert meta == {"base_model": "tiny", "language": LANG, "density": DENSITY, "method": "lt-sft"}


def test_the_teacher_takes_the_sft(done: Adapted) -> None:
    teacher = done.model()
    ids = torch.randint(5, 100, (2, 9), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        plain: Tensor = teacher.base_model(input_ids=ids).last_hidden_state
        tuned = adapted(teacher, fit_delta(done.delta, teacher, "it")).base_model(input_ids=ids).last_hidden_state
    assert not torch.allclose(plain, tuned, atol=1e-2)


@pytest.mark.parametrize("done", ["xlmr_folder"], indirect=True)
def test_with_tied_embeddings_that_learn_the_difference_goes_by_the_encoders_name(
    done: Adapted, tmp_path: Path
) -> None:
    adapt(done.teacher, done.pack, tmp_path / "adapt", freeze=[], dense_steps=2, sparse_steps=2)
    delta = load_delta(sft_folder(tmp_path / "adapt"))
    assert all(name.startswith("roberta.") for name in delta.indices)
    assert "roberta.embeddings.word_embeddings.weight" in delta.indices


def test_where_all_may_change_nothing_is_chosen_first(done: Adapted, tmp_path: Path) -> None:
    whole = adapt(done.teacher, done.pack, tmp_path / "adapt", density=1.0, dense_steps=0, sparse_steps=2)
    assert whole["tokens"] == 2 * 8 * 16
    assert whole["parameters"] > 0


def given(sft: Path, teacher: Path, lang: str, folder: Path) -> SparseDelta:
    """What a step makes of an SFT that is given."""
    inputs = {"teacher": str(teacher), "sft": str(sft)}
    run_step(Job("adapt", {"lang": lang}, inputs, {}, folder, about={"teacher": "tiny"}), LocalContext())
    return load_delta(folder / "sft")


def test_an_sft_of_other_files_is_noticed(done: Adapted, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert given(done.step / "sft", done.teacher, LANG, tmp_path / "sw").parameters == done.delta.parameters
    assert "of other files" not in caplog.text
    other = copytree(done.teacher, tmp_path / "other")
    (other / "README.md").touch()
    given(done.step / "sft", other, LANG, tmp_path / "moved")
    assert "was made of other files than this teacher's, of tiny" in caplog.text


def test_what_a_given_sft_keeps_whole_becomes_differences(done: Adapted, tmp_path: Path) -> None:
    base = dict(done.model().named_parameters())
    name = next(name for name in base if name.endswith("embeddings.LayerNorm.bias"))
    whole = replace(load_delta(done.step / "sft"), dense={name: base[name].detach() + 0.5})
    save_delta(whole, tmp_path / "sft")
    delta = given(tmp_path / "sft", done.teacher, LANG, tmp_path / "step")
    assert not delta.dense
    assert torch.allclose(delta.values[name], torch.full_like(base[name], 0.5))
