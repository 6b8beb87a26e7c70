"""The golden records of losses, with the models and batches that they are of, each read once."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from bistil_ray.models.families import family_of
from bistil_ray.models.projection import state_projections
from bistil_ray.models.states import Observed, observe
from tests.parity.golden_models import load

LABELS = {
    "base": {},
    "mlm": {"labels": "labels_mlm"},
    "tc": {"labels": "labels_tc"},
    "sc": {"labels": "labels_sc"},
    "qa": {"start_positions": "start_positions", "end_positions": "end_positions"},
}


@dataclass
class Golden:
    """The folder's records and tensors, with every model read once and the teachers' states kept."""

    folder: Path
    records: list[dict[str, Any]]
    batches: dict[str, Tensor]
    mappings: dict[str, Tensor]
    models: dict[tuple, PreTrainedModel] = field(default_factory=dict)
    seen: dict[tuple, Observed] = field(default_factory=dict)

    def model(self, family: str, name: str, head: str, dtype: str) -> PreTrainedModel:
        key = (family, name, dtype)
        if key not in self.models:
            self.models[key] = load(self.folder / family / name, head).to(getattr(torch, dtype)).eval()
        return self.models[key]

    def inputs(self, family: str, head: str, batch: str) -> dict[str, Tensor]:
        ids = "input_ids_mlm" if head == "mlm" else "input_ids"
        names = {"input_ids": ids, "attention_mask": "attention_mask", **LABELS[head]}
        return {key: self.batches[f"{family}/{batch}/{name}"] for key, name in names.items()}

    def projections(self, family: str, dtype: torch.dtype, width: int) -> list[Tensor]:
        """Ours for each of a teacher's states, from the stored sample, in the bases that the records were made with.

        The published bases are singular vectors, ours are turned; the float64 records were made with bases
        computed in float64, whose columns may have other signs than those of the stored float32 ones.
        """
        states = range(sum(key.startswith(f"{family}/mapping/") for key in self.mappings))
        samples = [self.mappings[f"{family}/sampled_states/{state}"].to(dtype) for state in states]
        published = [self.mappings[f"{family}/mapping/{state}"] for state in states]
        if dtype == torch.float64:
            published = [torch.linalg.svd(sample, full_matrices=False).Vh[:width].T for sample in samples]
        pairs = zip(state_projections(samples, width), published, strict=True)
        return [ours @ (ours.T @ theirs) for ours, theirs in pairs]

    def teacher(self, record: dict[str, Any]) -> Observed:
        """All states and maps of the record's teacher."""
        family, head, batch, dtype, tag = (record[key] for key in ("family", "head", "batch", "dtype", "tag"))
        sharp = tag.startswith("sharp_teacher")
        key = (family, head, batch, dtype, sharp)
        if key not in self.seen:
            model = self.model(family, f"teacher_{head}", head, dtype)
            if sharp:
                model = sharpened(model)
            layers = model.config.num_hidden_layers
            with torch.no_grad():
                self.seen[key] = observe(model, self.inputs(family, head, batch), range(layers + 1), range(layers))
        return self.seen[key]


def sharpened(model: PreTrainedModel) -> PreTrainedModel:
    """A copy whose attention underflows to 0 at real keys, as the tag of these records describes it."""
    sharp = copy.deepcopy(model).float()  # the factor was applied to the float32 weights
    with torch.no_grad():
        for layer in (1, 3, 5):
            family_of(model.config).layers(sharp)[layer].attention.self.query.weight.mul_(1500)
    return sharp.to(model.dtype)
