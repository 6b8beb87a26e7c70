"""Maps of a teacher's hidden states to the width of a narrower student, found by SVD as in BISTIL."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import PreTrainedModel

from ..errors import ModelError
from ..losses.precision import at_least_float32
from ..storage import replacing
from .states import observe

FILE = "projections.safetensors"
BATCH = 32


@torch.no_grad()
def sample_states(
    teacher: PreTrainedModel, ids_NT: Tensor, states: Sequence[int], generator: torch.Generator
) -> list[Tensor]:
    """What the teacher makes of one random real token of each sequence: a sample (N, D) of each of its ``states``.

    ``states`` are numbered as for ``observe``; the same tokens are taken in each of them. ``generator`` is one of the
    CPU. The samples are on the CPU, in the teacher's precision.
    """
    chances_NT = torch.rand(ids_NT.shape, generator=generator)
    real_NT = ids_NT != teacher.config.pad_token_id
    chosen_N = chances_NT.masked_fill(~real_NT, -1).argmax(1)
    parts: list[list[Tensor]] = [[] for _ in states]
    teacher.eval()
    for start in range(0, len(ids_NT), BATCH):
        rows = slice(start, start + BATCH)
        inputs = {"input_ids": ids_NT[rows], "attention_mask": real_NT[rows].long()}
        inputs = {name: values.to(teacher.device) for name, values in inputs.items()}
        seen = observe(teacher.base_model, inputs, states, ())
        chosen_B = chosen_N[rows].to(teacher.device)
        for part, hidden_BTD in zip(parts, seen.hidden, strict=True):
            part.append(hidden_BTD[torch.arange(len(chosen_B)), chosen_B].cpu())
    return [torch.cat(part) for part in parts]


def state_projections(samples: Sequence[Tensor], width: int) -> list[Tensor]:
    """For each state, the (D, width) map on the directions in which its sample (N, D) is largest.

    The directions are the first right singular vectors of the sample, which is not centred, as in the published code.
    There these vectors are each state's basis; here the bases are turned, each within its directions, to lie near those
    that the states share most: a student's residual connections carry coordinates from one state to the next, and a
    mean of squares does not see how both of its sides are turned. Columns are orthonormal.

    Computed in float64, given in the precision of the samples. ModelError for samples too small to tell ``width``
    directions apart, and for a width beyond the teacher's.
    """
    directions = [_directions(sample, width) for sample in samples]
    shared = torch.linalg.eigh(torch.stack([basis @ basis.T for basis in directions]).sum(0)).eigenvectors[:, -width:]
    # The sign of an eigenvector is chance: let its largest entry be positive.
    shared = shared * shared.gather(0, shared.abs().argmax(0, keepdim=True)).sign()
    return [
        _turned(basis, shared).to(at_least_float32(sample).dtype)
        for basis, sample in zip(directions, samples, strict=True)
    ]


def _directions(sample_ND: Tensor, width: int) -> Tensor:
    """The first ``width`` right singular vectors (D, width) of a sample."""
    tokens, units = sample_ND.shape
    if not 0 < width <= units:
        raise ModelError(f"a student's hidden size is {width}; allowed: 1 to the teacher's {units} (--hidden)")
    if tokens < width:
        raise ModelError(f"{tokens} sampled tokens give no projection to {width} units: {width} sequences are needed")
    return torch.linalg.svd(sample_ND.double(), full_matrices=False).Vh[:width].T


def _turned(basis: Tensor, towards: Tensor) -> Tensor:
    """The orthonormal basis of the same directions that lies nearest to another (orthogonal Procrustes problem)."""
    left, _, right = torch.linalg.svd(basis.T @ towards)
    return basis @ (left @ right)


def save_projections(projections: Sequence[Tensor], folder: Path) -> None:
    """Write the projections beside a student's weights."""
    with replacing(folder / FILE) as temporary:
        save_file({str(state): projection.contiguous() for state, projection in enumerate(projections)}, temporary)


def load_projections(folder: Path) -> list[Tensor]:
    """Read the projections beside a student's weights; none where it has its teacher's width."""
    if not (folder / FILE).exists():
        return []
    stored = load_file(folder / FILE)
    return [stored[str(state)] for state in range(len(stored))]
