"""Losses, gradients and activations against the numbers of the published code (``golden/loss``).

Each record names a student, a batch and loss settings. It is recomputed with ``observe`` and the losses,
and its value, the norm of the whole gradient and that of each parameter are compared.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import PreTrainedModel

from bistil_ray.losses.attention import attention_mse, reference_attention_divergence, reference_attention_mse
from bistil_ray.losses.hidden import hidden_mse
from bistil_ray.losses.logits import soft_cross_entropy
from bistil_ray.models.layers import align_layers
from bistil_ray.models.projection import sample_states, state_projections
from bistil_ray.models.states import observe
from tests.parity.golden_losses import Golden
from tests.parity.golden_models import HEADS

LOSS_TOLERANCE = {"float64": 1e-12, "float32": 2e-6}
# Gradient norms of float32 runs are not promised to any number of digits: this only catches what is wrong.
NORM_TOLERANCE = {"float64": 1e-9, "float32": 1e-4}
# What a zero gradient looks like after rounding (the pooler's, the key biases').
NOISE = 1e-8


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Models this small are several times slower with more than one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def stored() -> Iterator[dict[Path, Golden]]:
    """What has been read so far, shared by the tests of this file."""
    yield {}


@pytest.fixture
def gold(golden: Path, stored: dict[Path, Golden]) -> Golden:
    """The stored records, or a skip where there are none."""
    if golden not in stored:
        folder = golden / "loss"
        if not (folder / "losses.json").exists():
            pytest.skip(f"no {folder / 'losses.json'}")
        mappings = folder / "hidden_size_mapping.safetensors"
        stored[golden] = Golden(
            folder=golden,
            records=json.loads((folder / "losses.json").read_text())["records"],
            batches=load_file(folder / "batches.safetensors"),
            mappings=load_file(mappings) if mappings.exists() else {},
        )
    return stored[golden]


def loss_of(gold: Golden, record: dict[str, Any]) -> tuple[Tensor, PreTrainedModel]:
    """The record's loss, and the student it was computed with."""
    family, head, settings = record["family"], record["head"], record["kwargs"]
    student = gold.model(family, record["student"], head, record["dtype"])
    theirs = gold.teacher(record)
    layers = student.config.num_hidden_layers
    aligned = align_layers(len(theirs.attention), layers, top_only=settings.get("align_layers") == "top")
    inputs = gold.inputs(family, head, record["batch"])
    ours = observe(student, inputs, aligned.student_hidden, aligned.student_attention)
    terms: list[Tensor] = []

    if weight := settings.get("alpha_hidden"):
        targets = [theirs.hidden[i] for i in aligned.teacher_hidden]
        if record["tag"] == "hidden_size_mapping":
            projections = gold.projections(family, targets[0].dtype, student.config.hidden_size)
            targets = [target @ projections[i] for target, i in zip(targets, aligned.teacher_hidden, strict=True)]
        terms.append(weight * hidden_mse(ours.hidden, targets))

    if weight := settings.get("alpha_attn"):
        maps = [theirs.attention[i] for i in aligned.teacher_attention]
        if settings.get("attn_loss") == "kl":
            terms.append(weight * reference_attention_divergence(ours.attention, maps))
        else:
            terms.append(weight * reference_attention_mse(ours.attention, maps))

    if weight := settings.get("alpha_ce"):
        valid = inputs["labels"] > -1 if settings["mask_logits"] else ...
        temperature = settings.get("softmax_temperature", 2.0)
        for key in ("start_logits", "end_logits") if head == "qa" else ("logits",):
            terms.append(weight * soft_cross_entropy(ours.output[key][valid], theirs.output[key][valid], temperature))

    if weight := settings.get("alpha_task"):
        terms.append(weight * ours.output.loss)
    return torch.stack(terms).sum(), student


def gradient_norms(student: PreTrainedModel) -> dict[str, float]:
    """Norm of each parameter's gradient, 0 where there is none, under all names of a tied one."""
    return {
        name: 0.0 if parameter.grad is None else parameter.grad.double().norm().item()
        for name, parameter in student.named_parameters(remove_duplicate=False)
    }


def problems(gold: Golden, record: dict[str, Any]) -> list[str]:
    """In what the record and its recomputation differ."""
    dtype = record["dtype"]
    tolerance, norm_tolerance = LOSS_TOLERANCE[dtype], NORM_TOLERANCE[dtype]
    if record["tag"] == "hidden_size_mapping" and dtype == "float64":
        # The sample from which the projections were computed is stored in float32.
        tolerance = norm_tolerance = 1e-6
    if record["tag"].startswith("sharp") and dtype == "float32":
        # Queries that are 1500 times as large magnify what processors round differently.
        tolerance = 1e-5
    loss, student = loss_of(gold, record)
    student.zero_grad()
    loss.backward()
    norms = gradient_norms(student)
    total = sum(norms[name] ** 2 for name, _ in student.named_parameters()) ** 0.5

    found = []
    if loss.item() != pytest.approx(record["loss"], rel=tolerance, abs=0):
        found.append(f"loss {loss.item()!r}, stored {record['loss']!r}")
    if total != pytest.approx(record["total_grad_norm"], rel=norm_tolerance, abs=0):
        found.append(f"gradient norm {total!r}, stored {record['total_grad_norm']!r}")
    for name, stored in record.get("grad_norms", {}).items():
        norm, stored = norms[name], stored or 0.0
        if max(norm, stored) > NOISE and norm != pytest.approx(stored, rel=norm_tolerance, abs=0):
            found.append(f"gradient norm of {name} {norm!r}, stored {stored!r}")
    label = "/".join(str(record[key]) for key in ("family", "student", "batch", "config", "dtype", "tag"))
    return [f"{label}: {problem}" for problem in found]


@pytest.mark.parametrize("head", sorted(HEADS))
def test_losses_and_gradient_norms(gold: Golden, head: str) -> None:
    records = [record for record in gold.records if record["head"] == head and "error" not in record]
    if not records:
        pytest.skip(f"no records with head {head}")
    assert not [problem for record in records for problem in problems(gold, record)]


def test_the_records_are_of_the_heads_that_are_compared(gold: Golden) -> None:
    assert {record["head"] for record in gold.records} <= set(HEADS)


@pytest.mark.parametrize("family", ["bert", "xlmr"])
def test_projections_span_the_published_directions(gold: Golden, family: str) -> None:
    if f"{family}/mapping/0" not in gold.mappings:
        pytest.skip(f"no projections of {family}")
    published = [gold.mappings[f"{family}/mapping/{state}"] for state in range(7)]
    samples = [gold.mappings[f"{family}/sampled_states/{state}"] for state in range(7)]
    for ours, theirs in zip(state_projections(samples, published[0].shape[1]), published, strict=True):
        torch.testing.assert_close(ours @ ours.T, theirs @ theirs.T, rtol=0, atol=1e-5)


@pytest.mark.parametrize("family", ["bert", "xlmr"])
def test_sampled_states_are_those_of_real_tokens_as_published(gold: Golden, family: str) -> None:
    if f"{family}/map_input_ids" not in gold.mappings:
        pytest.skip(f"no projections of {family}")
    teacher = gold.model(family, "teacher_base", "base", "float32")
    ids, valid = (gold.mappings[f"{family}/map_{name}"] for name in ("input_ids", "attention_mask"))
    with torch.no_grad():
        hidden = observe(teacher, {"input_ids": ids, "attention_mask": valid}, [6], []).hidden[0]
    ours = sample_states(teacher, ids, [6], torch.Generator().manual_seed(0))[0]
    for sample in (ours, gold.mappings[f"{family}/sampled_states/6"]):
        distance = (hidden - sample[:, None]).abs().amax(-1).masked_fill(valid == 0, torch.inf)
        assert distance.amin(1).max() < 1e-4


def test_explicit_keys_give_the_published_attention_loss(gold: Golden) -> None:
    """Where nothing underflows, dropping padded keys by a mask is the same as dropping the zeros."""
    checked = 0
    for record in gold.records:
        if record["config"] != "attn_mse" or record["dtype"] != "float64" or record["tag"] or "error" in record:
            continue
        student = gold.model(record["family"], record["student"], record["head"], "float64")
        theirs = gold.teacher(record)
        aligned = align_layers(len(theirs.attention), student.config.num_hidden_layers)
        inputs = gold.inputs(record["family"], record["head"], record["batch"])
        with torch.no_grad():
            ours = observe(student, inputs, [], aligned.student_attention)
        mask = inputs["attention_mask"]
        keys_BTT = mask.unsqueeze(1).expand(-1, mask.shape[1], -1)
        loss = attention_mse(ours.attention, [theirs.attention[i] for i in aligned.teacher_attention], keys_BTT)
        assert loss.item() == pytest.approx(record["loss"], rel=LOSS_TOLERANCE["float64"], abs=0)
        checked += 1
    assert checked or not any(record["config"] == "attn_mse" for record in gold.records)


def test_gradients(gold: Golden) -> None:
    path = gold.folder / "loss" / "gradients.safetensors"
    if not path.exists():
        pytest.skip(f"no {path}")
    stored = load_file(path)
    groups = {tuple(key.split("/")[:3]) for key in stored}
    for family, head, config in sorted(groups):
        record = {
            "family": family,
            "head": head,
            "config": config,
            "batch": "padded",
            "dtype": "float64",
            "tag": "",
        }
        record["student"] = f"student_{head}_lrf2_hrf1_copy"
        record["kwargs"] = next(
            other["kwargs"]
            for other in gold.records
            if all(other[key] == record[key] for key in ("family", "head", "config", "student"))
        )
        loss, student = loss_of(gold, record)
        student.zero_grad()
        loss.backward()
        parameters = dict(student.named_parameters(remove_duplicate=False))
        names = [key for key in stored if key.startswith(f"{family}/{head}/{config}/")]
        for name in names:
            gradient = parameters[name.split("/", 3)[3]].grad
            gradient = torch.zeros_like(stored[name]) if gradient is None else gradient.float()
            torch.testing.assert_close(gradient, stored[name], rtol=1e-5, atol=1e-8, msg=lambda m, n=name: f"{n}: {m}")


def test_activations(gold: Golden) -> None:
    path = gold.folder / "loss" / "activations.safetensors"
    if not path.exists():
        pytest.skip(f"no {path}")
    stored = load_file(path)
    for family, role in sorted({tuple(key.split("/")[:2]) for key in stored}):
        seen = {}
        for head in HEADS:
            name = "teacher_{}" if role == "teacher" else "student_{}_lrf2_hrf1_copy"
            model = gold.model(family, name.format(head), head, "float32")
            layers = model.config.num_hidden_layers
            with torch.no_grad():
                seen[head] = observe(model, gold.inputs(family, head, "padded"), range(layers + 1), range(layers))
        for key in (key for key in stored if key.startswith(f"{family}/{role}/")):
            kind, index = key.split("/")[2:]
            if kind == "hidden":
                ours = seen["base"].hidden[int(index)]
            elif kind == "attn":
                ours = seen["base"].attention[int(index)]
            else:
                ours = seen[kind].output[index]
                ours = ours[:2, :8] if kind == "mlm" else ours
            torch.testing.assert_close(ours, stored[key], rtol=1e-5, atol=1e-5, msg=lambda m, k=key: f"{k}: {m}")
