"""A teacher that says the same whatever it reads teaches nothing: found out before work starts."""

from __future__ import annotations

import torch
from torch import Tensor
from transformers import PreTrainedModel

from ..errors import ModelError


@torch.no_grad()
def check_states(teacher: PreTrainedModel, ids_BT: Tensor, name: str) -> None:
    """ModelError unless the teacher's last hidden states for blocks differ from those for the same blocks reversed."""
    ids_BT = ids_BT.to(teacher.device)
    both = teacher.base_model(input_ids=torch.cat([ids_BT, ids_BT.flip(1)])).last_hidden_state
    check_varies(both.flatten(1), "hidden states", name)


def check_varies(outputs_ND: Tensor, what: str, name: str) -> None:
    """ModelError if outputs for N different inputs are all the same, or some not a number; nothing is said of one."""
    if outputs_ND.isnan().any():
        raise ModelError(f"teacher {name} gives {what} that are NaN: its weights are damaged (--teachers)")
    same = torch.allclose(outputs_ND, outputs_ND[:1].expand_as(outputs_ND), rtol=1e-5, atol=1e-7)
    if len(outputs_ND) > 1 and same:
        raise ModelError(
            f"teacher {name} gives the same {what} whatever it reads, so there is nothing to learn from it: "
            "its weights are damaged or not the right ones (--teachers)"
        )
